package gateway

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/gowsgi/gowsgi/pyhost"
)

// endpoints are the two ends of a connection as the environ shows them.
type endpoints struct {
	serverName, serverPort string // both empty: taken from the Host of each request
	remoteAddr, remotePort string
	scheme                 string // "http" or "https"
}

// endpointsOf reads the addresses of a connection. On a unix socket the server's name is the request's Host and the client has none.
func endpointsOf(local, remote net.Addr, scheme string) endpoints {
	e := endpoints{scheme: scheme}
	e.serverName, e.serverPort = splitAddr(local)
	e.remoteAddr, e.remotePort = splitAddr(remote)
	return e
}

func splitAddr(a net.Addr) (host, port string) {
	if a == nil || a.Network() == "unix" {
		return "", ""
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return "", ""
	}
	return ap.Addr().Unmap().WithZone("").String(), strconv.Itoa(int(ap.Port()))
}

// appendPairs appends what is the same for all requests of a connection.
func (e *endpoints) appendPairs(rec []byte) []byte {
	if e.serverName != "" {
		rec = pyhost.AppendPair(rec, "SERVER_NAME", e.serverName)
		rec = pyhost.AppendPair(rec, "SERVER_PORT", e.serverPort)
	}
	rec = pyhost.AppendPair(rec, "SERVER_SOFTWARE", serverName)
	rec = pyhost.AppendPair(rec, "REMOTE_ADDR", e.remoteAddr)
	if e.remotePort != "" {
		rec = pyhost.AppendPair(rec, "REMOTE_PORT", e.remotePort)
	}
	return pyhost.AppendPair(rec, "wsgi.url_scheme", e.scheme)
}

// appendEnviron appends the environ record of q to rec: PEP 3333, section "environ Variables". path is the decoded path of the target,
// mount what matched it, fixed the pairs of the connection (endpoints.appendPairs), length the length of the whole body, -1 where it is
// not known. Nothing of q is kept.
func appendEnviron(rec []byte, q *request, path []byte, mount *Mount, fixed []byte, e *endpoints, length int64) []byte {
	rec = pyhost.AppendPair(rec, "REQUEST_METHOD", text(q.method))
	rec = pyhost.AppendPair(rec, "SCRIPT_NAME", mount.Prefix)
	rec = pyhost.AppendPair(rec, "PATH_INFO", text(path[len(mount.Prefix):]))
	rec = pyhost.AppendPair(rec, "QUERY_STRING", text(q.target.query))
	rec = pyhost.AppendPair(rec, "RAW_URI", text(q.raw))
	rec = pyhost.AppendPair(rec, "REQUEST_URI", text(q.raw))
	if q.http10 {
		rec = pyhost.AppendPair(rec, "SERVER_PROTOCOL", "HTTP/1.0")
	} else {
		rec = pyhost.AppendPair(rec, "SERVER_PROTOCOL", "HTTP/1.1")
	}
	rec = append(rec, fixed...)
	if e.serverName == "" {
		rec = appendServerOfHost(rec, q.host, e.scheme)
	}
	if q.host != nil {
		rec = pyhost.AppendPair(rec, "HTTP_HOST", text(q.host))
	}
	for i := range q.fields {
		rec = appendField(rec, q, i, length)
	}
	if q.chunked && length >= 0 {
		// RFC 9112 section 7.1.3: once it is decoded, the body has a Content-Length and no Transfer-Encoding.
		var digits [20]byte
		rec = pyhost.AppendPair(rec, "CONTENT_LENGTH", text(strconv.AppendInt(digits[:0], length, 10)))
	}
	return rec
}

// appendField appends the field i of q, joined with later ones of its name, unless an earlier one did that already.
func appendField(rec []byte, q *request, i int, length int64) []byte {
	f := &q.fields[i]
	name := f.name
	// "X_Forwarded_For" would become the same key as "X-Forwarded-For".
	if bytes.IndexByte(name, '_') >= 0 {
		return rec
	}
	switch len(name) {
	case 4:
		if equalFold(name, "host") {
			return rec
		}
	case 5:
		// HTTP_PROXY is a setting of HTTP clients (httpoxy, CVE-2016-5385).
		if equalFold(name, "proxy") {
			return rec
		}
	case 17:
		if equalFold(name, "transfer-encoding") && length >= 0 {
			return rec
		}
	}
	for j := range i {
		if equalFold(name, q.fields[j].name) {
			return rec
		}
	}
	var scratch [64]byte
	key := append(scratch[:0], "HTTP_"...)
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case c == '-':
			c = '_'
		}
		key = append(key, c)
	}
	sep := ","
	switch string(key) {
	case "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH":
		key = key[len("HTTP_"):]
	case "HTTP_COOKIE":
		sep = "; "
	}
	value := f.value
	for j := i + 1; j < len(q.fields); j++ {
		if equalFold(name, q.fields[j].name) {
			value = append(append(value[:len(value):len(value)], sep...), q.fields[j].value...)
		}
	}
	return pyhost.AppendPair(rec, text(key), text(value))
}

// appendServerOfHost appends SERVER_NAME and SERVER_PORT where the listener has neither: PEP 3333 wants both, never empty.
func appendServerOfHost(rec, host []byte, scheme string) []byte {
	port := []byte("80")
	if scheme == "https" {
		port = []byte("443")
	}
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		if i+1 < len(host) {
			port = host[i+1:]
		}
		host = host[:i]
	}
	if len(host) == 0 {
		host = []byte("localhost")
	}
	rec = pyhost.AppendPair(rec, "SERVER_NAME", text(host))
	return pyhost.AppendPair(rec, "SERVER_PORT", text(port))
}

// text is b as a string without a copy, for a call that does not keep it.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
