package gateway

import (
	"bytes"

	"github.com/gowsgi/gowsgi/pyhost"
)

const (
	// minCoded is the shortest body in bytes that is compressed: with its header a shorter one fits in one packet as it is.
	minCoded = 860
	// maxCodedWhole is the longest body in bytes that is compressed before its first byte is sent, so that its length can be.
	maxCodedWhole = 1 << 20
)

// negotiate decides whether a response of which check was satisfied is compressed, with the coding that its client wants. size is the length
// of its body in bytes, -1 where it is not known. It returns the header record to send, rewritten where it has to be, and the coding.
//
// RFC 9110 sections 12.5.5 and 15.4.5: who may get another coding for another Accept-Encoding is told so by Vary, in a 304 too. Section
// 8.8.3: bodies in different codings have no strong ETag in common.
func (h *responseHead) negotiate(headers []byte, wanted coding, size int64) ([]byte, coding) {
	varies, ok := h.codable(headers)
	if !ok || h.code != 304 && size >= 0 && size < minCoded {
		return headers, identity
	}
	if h.code == 304 {
		return rewrite(headers, varies, true, identity), identity
	}
	return rewrite(headers, varies, wanted != identity, wanted), wanted
}

// encode decides about a response's body as negotiate does, total bytes of which are there, and begins to compress it. It returns the header
// record to send, and an encoding where there is a body and it is compressed: h is its head then. head: the request is a HEAD.
func (h *responseHead) encode(o *pyhost.Output, head bool, wanted coding, total int64) (headers []byte, e *encoding) {
	size := h.length
	switch {
	case size >= 0:
		if o.Complete && !head && size != total {
			wanted = identity // the app is wrong about its length, which shows where the body is sent as it is
		}
	case o.Complete && (total > 0 || !head): // apps tend to answer HEAD with an empty body
		size = total
	}
	headers, c := h.negotiate(o.Headers, wanted, size)
	if c == identity {
		return headers, nil
	}
	if head {
		h.length = -1
		return headers, nil
	}
	e = &encoding{coding: c, headers: headers, left: h.length}
	// A body with all that its length says is whole, before the app says so too: else it would depend on the app's haste how it is sent.
	whole := (o.Complete || total == h.length) && total <= maxCodedWhole
	if !whole && !e.beginStream() {
		headers, _ = h.negotiate(o.Headers, identity, size)
		return headers, nil
	}
	h.length = -1
	e.head = *h
	return headers, e
}

// codable says whether the body may be compressed: not by its status, by its type, where the app says so, or where a field is about its very
// bytes. varies: Vary has Accept-Encoding already, or "*".
func (h *responseHead) codable(headers []byte) (varies, ok bool) {
	switch h.code {
	case 204, 205, 206:
		return varies, false
	}
	ok = h.code == 304 // it need not say what type
	for {
		name, value, rest, more := pyhost.NextPair(headers)
		if !more {
			return varies, ok
		}
		headers = rest
		not := false
		switch len(name) {
		case 4:
			if equalFold(name, "vary") {
				varies = varies || hasElement(value, "accept-encoding") || hasElement(value, "*")
			}
		case 6:
			not = equalFold(name, "digest")
		case 11:
			not = equalFold(name, "content-md5") || equalFold(name, "repr-digest")
		case 12:
			if equalFold(name, "content-type") {
				ok = compressible(value)
				not = !ok
			}
		case 13:
			not = equalFold(name, "content-range") ||
				equalFold(name, "cache-control") && hasElement(value, "no-transform") // RFC 9111 section 5.2.2.6
		case 14:
			not = equalFold(name, "content-digest")
		case 16:
			not = equalFold(name, "content-encoding")
		}
		if not {
			return varies, false
		}
	}
}

// rewrite is the header record with Vary, a weak ETag where that is asked for, and what the coding c makes of the other fields.
func rewrite(headers []byte, varies, weak bool, c coding) []byte {
	out := make([]byte, 0, len(headers)+128)
	for {
		name, value, rest, ok := pyhost.NextPair(headers)
		if !ok {
			break
		}
		headers = rest
		switch {
		case equalFold(name, "vary") && !varies:
			varies = true
			if value = trimOWS(value); len(value) > 0 {
				out = pyhost.AppendPair(out, text(name), string(value)+", Accept-Encoding")
				continue
			}
			value = []byte("Accept-Encoding")
		case weak && equalFold(name, "etag") && len(value) > 0 && value[0] == '"':
			out = pyhost.AppendPair(out, text(name), "W/"+text(value))
			continue
		case c != identity && (equalFold(name, "content-length") || equalFold(name, "accept-ranges")):
			continue
		}
		out = pyhost.AppendPair(out, text(name), text(value))
	}
	if !varies {
		out = pyhost.AppendPair(out, "Vary", "Accept-Encoding")
	}
	if c != identity {
		out = pyhost.AppendPair(out, "Content-Encoding", c.String())
	}
	return out
}

// hasElement says whether a comma-separated list has an element, which is given in any case.
func hasElement(list []byte, element string) bool {
	for len(list) > 0 {
		var e []byte
		e, list, _ = bytes.Cut(list, []byte(","))
		if equalFold(trimOWS(e), element) {
			return true
		}
	}
	return false
}

// compressibleTypes are the media types that compress well beside text/*, *+json, *+xml and *+text. Those of images, sound and video, and of
// archives, are compressed already.
var compressibleTypes = map[string]bool{
	"application/ecmascript": true, "application/graphql": true, "application/javascript": true, "application/json": true, "application/json-seq": true,
	"application/jsonl": true, "application/msgpack": true, "application/ndjson": true, "application/rtf": true, "application/sql": true,
	"application/toml": true, "application/vnd.ms-fontobject": true, "application/wasm": true, "application/x-javascript": true,
	"application/x-json": true, "application/x-ndjson": true, "application/x-yaml": true, "application/xml": true, "application/yaml": true,
	"font/otf": true, "font/ttf": true, "image/bmp": true, "image/vnd.microsoft.icon": true, "image/x-icon": true,
}

// compressible says whether a body with this Content-Type is worth it. A stream of events is not: proxies and clients that read it as it
// comes tend to hold back one that is compressed.
func compressible(contentType []byte) bool {
	t, _, _ := bytes.Cut(contentType, []byte(";"))
	var memory [128]byte
	name := memory[:0]
	for _, c := range trimOWS(t) {
		if len(name) == cap(name) {
			return false
		}
		name = append(name, lower(c))
	}
	if text, ok := bytes.CutPrefix(name, []byte("text/")); ok {
		return len(text) > 0 && string(text) != "event-stream"
	}
	if i := bytes.LastIndexByte(name, '+'); i >= 0 {
		switch string(name[i:]) {
		case "+json", "+xml", "+text":
			return true
		}
	}
	return compressibleTypes[string(name)]
}
