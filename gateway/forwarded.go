package gateway

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/gowsgi/gowsgi/pyhost"
)

// ForwardedHeaders says in which header fields the word of trusted proxies is taken. It must name those that the proxies set or remove in
// every request, and no other: what they let pass is the client's. The rest of them never reach the app. 0 is XForwarded.
type ForwardedHeaders uint8

// The fields. Forwarded (RFC 7239) excludes the others.
const (
	XForwardedFor ForwardedHeaders = 1 << iota
	XForwardedProto
	XForwardedHost
	XForwardedPort
	XForwardedPrefix
	Forwarded
	XForwarded = XForwardedFor | XForwardedProto | XForwardedHost | XForwardedPort | XForwardedPrefix
)

var forwardedNames = []struct {
	name string
	bits ForwardedHeaders
}{
	{"x-forwarded", XForwarded}, {"forwarded", Forwarded}, {"x-forwarded-for", XForwardedFor}, {"x-forwarded-proto", XForwardedProto},
	{"x-forwarded-host", XForwardedHost}, {"x-forwarded-port", XForwardedPort}, {"x-forwarded-prefix", XForwardedPrefix},
}

// ParseForwardedHeaders reads names of fields with commas between, in any case; "x-forwarded" is all five that begin so.
func ParseForwardedHeaders(list string) (all ForwardedHeaders, err error) {
	for text := range strings.SplitSeq(list, ",") {
		var known []string
		found := false
		for _, n := range forwardedNames {
			if strings.EqualFold(text, n.name) {
				all |= n.bits
				found = true
			}
			known = append(known, n.name)
		}
		if !found {
			return 0, fmt.Errorf("%q is none of %s", text, strings.Join(known, ", "))
		}
	}
	return all, nil
}

// MarshalText implements [encoding.TextMarshaler].
func (h ForwardedHeaders) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler], by ParseForwardedHeaders.
func (h *ForwardedHeaders) UnmarshalText(text []byte) (err error) {
	*h, err = ParseForwardedHeaders(string(text))
	return err
}

// String names the fields, with commas between.
func (h ForwardedHeaders) String() string {
	var names []string
	for _, n := range forwardedNames {
		if n.bits != 0 && h&n.bits == n.bits {
			names = append(names, n.name)
			h &^= n.bits
		}
	}
	return strings.Join(names, ",")
}

// origin is where a request comes from and went to, as far as trusted proxies say.
type origin struct {
	addr   netip.Addr // of the client; not valid: the peer is the client
	port   int        // of the client; -1 where it is not known
	scheme string     // "": the connection's
	host   []byte     // nil: the request's own
	at     []byte     // the port that the client connected to; nil: the host's
	prefix []byte     // what the proxies cut off the front of the path, decoded
}

// origin reads what the proxies say in q. Lists are read from their end, where the nearest proxy wrote, through the trusted ones: the client
// is the first address that is not a trusted proxy's. What can't be read ends the way there, and is not taken. p is not nil.
func (p *proxies) origin(q *request) origin {
	if p.headers&Forwarded != 0 {
		return p.originForwarded(q)
	}
	o := origin{port: -1}
	hops := 0
	if p.headers&XForwardedFor != 0 {
		for list := (elements{q.fields, "x-forwarded-for", len(q.fields), nil}); ; {
			e, ok := list.last(false)
			if !ok {
				break
			}
			addr, port, ok := parseHop(e)
			if !ok {
				break
			}
			o.addr, o.port = addr, port
			if hops++; !p.has(addr) {
				break
			}
		}
	}
	// A proxy that adds to one list adds to all of them, so what the outermost trusted one wrote is as far from the end as the client is. Where
	// a list is shorter, somebody has set it anew.
	word := func(bit ForwardedHeaders, name string) (value []byte) {
		if p.headers&bit == 0 {
			return nil
		}
		list := elements{q.fields, name, len(q.fields), nil}
		for range max(hops, 1) {
			e, ok := list.last(false)
			if !ok {
				break
			}
			value = e
		}
		return value
	}
	o.scheme = schemeOf(word(XForwardedProto, "x-forwarded-proto"))
	if host := word(XForwardedHost, "x-forwarded-host"); validAuthority(host) {
		o.host = host
	}
	if port := word(XForwardedPort, "x-forwarded-port"); parsePort(port) > 0 {
		o.at = port
	}
	o.prefix = prefixOf(word(XForwardedPrefix, "x-forwarded-prefix"))
	return o
}

func (p *proxies) originForwarded(q *request) origin {
	o := origin{port: -1}
	for list := (elements{q.fields, "forwarded", len(q.fields), nil}); ; {
		raw, ok := list.last(true)
		if !ok {
			return o
		}
		e, ok := parseForwarded(raw)
		if !ok {
			return o
		}
		if scheme := schemeOf(e.proto); scheme != "" {
			o.scheme = scheme
		}
		if validAuthority(e.host) {
			o.host = e.host
		}
		if !e.addr.IsValid() {
			return o // unknown, or a name that only the proxy knows
		}
		o.addr, o.port = e.addr, e.port
		if !p.has(e.addr) {
			return o
		}
	}
}

// schemeOf is "" for what is neither.
func schemeOf(proto []byte) string {
	switch {
	case equalFold(proto, "https"):
		return "https"
	case equalFold(proto, "http"):
		return "http"
	}
	return ""
}

// prefixOf decodes a path prefix, nil where it can't become the front of SCRIPT_NAME. The app makes links and redirects with it: two slashes,
// or a backslash, which browsers take for one, would lead to another host.
func prefixOf(raw []byte) []byte {
	t, err := splitTarget(nil, raw)
	if err != nil || t.form != originForm || len(t.path) != len(raw) {
		return nil
	}
	path := bytes.TrimRight(unescape(nil, t.path), "/")
	for i, c := range path {
		if c < ' ' || c == 0x7f || c == '\\' || c == '/' && i+1 < len(path) && path[i+1] == '/' {
			return nil
		}
	}
	for segment := range bytes.SplitSeq(path, slash) {
		if string(segment) == "." || string(segment) == ".." {
			return nil
		}
	}
	return path
}

// appendPairs appends the connection's pairs, fixed, with what is different for the request. host is the request's own; the one that holds
// is returned.
func (o *origin) appendPairs(rec, fixed, host []byte, e *endpoints) (_, hostNow []byte) {
	scheme := e.scheme
	if o.scheme != "" {
		scheme = o.scheme
	}
	if o.host != nil {
		host = o.host
	}
	if o.at != nil && len(host) > 0 && portOf(host) == nil && string(o.at) != defaultPort(scheme) {
		host = bytes.TrimSuffix(host, []byte(":"))
		host = append(append(host[:len(host):len(host)], ':'), o.at...)
	}
	moved := o.scheme != "" || o.host != nil || o.at != nil
	for {
		name, value, rest, ok := pyhost.NextPair(fixed)
		if !ok {
			break
		}
		fixed = rest
		switch key := text(name); {
		case moved && (key == "SERVER_NAME" || key == "SERVER_PORT"):
		case o.addr.IsValid() && (key == "REMOTE_ADDR" || key == "REMOTE_PORT"):
		case key == "wsgi.url_scheme", key == "HTTPS":
		default:
			rec = pyhost.AppendPair(rec, key, text(value))
		}
	}
	if moved || e.serverName == "" {
		rec = appendServerOfHost(rec, host, o.at, scheme)
	}
	var scratch [64]byte
	if o.addr.IsValid() {
		rec = pyhost.AppendPair(rec, "REMOTE_ADDR", text(o.addr.AppendTo(scratch[:0])))
		if o.port >= 0 {
			rec = pyhost.AppendPair(rec, "REMOTE_PORT", text(appendInt(scratch[:0], o.port)))
		}
	}
	if scheme == "https" {
		rec = pyhost.AppendPair(rec, "HTTPS", "on")
	}
	return pyhost.AppendPair(rec, "wsgi.url_scheme", scheme), host
}
