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

	proxies      *proxies // not nil: the other end is a trusted proxy
	headerPolicy HeaderPolicy
	requestIDs   bool // requests get ids, and X-Request-ID is no header as others
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
	host := q.host
	if e.proxies == nil {
		rec = pyhost.AppendPair(rec, "SCRIPT_NAME", mount.Prefix)
		rec = append(rec, fixed...)
		if e.serverName == "" {
			rec = appendServerOfHost(rec, host, nil, e.scheme)
		}
	} else {
		o := e.proxies.origin(q)
		rec = pyhost.AppendPair(rec, "SCRIPT_NAME", text(o.prefix)+mount.Prefix)
		rec, host = o.appendPairs(rec, fixed, host, e)
	}
	rec = pyhost.AppendPair(rec, "PATH_INFO", text(path[len(mount.Prefix):]))
	rec = pyhost.AppendPair(rec, "QUERY_STRING", text(q.target.query))
	rec = pyhost.AppendPair(rec, "RAW_URI", text(q.raw))
	rec = pyhost.AppendPair(rec, "REQUEST_URI", text(q.raw))
	switch {
	case q.http10:
		rec = pyhost.AppendPair(rec, "SERVER_PROTOCOL", "HTTP/1.0")
	case q.http2:
		rec = pyhost.AppendPair(rec, "SERVER_PROTOCOL", "HTTP/2.0") // as Apache has it
	default:
		rec = pyhost.AppendPair(rec, "SERVER_PROTOCOL", "HTTP/1.1")
	}
	if host != nil {
		rec = pyhost.AppendPair(rec, "HTTP_HOST", text(host))
	}
	q.sumNames()
	for i := range q.fields {
		rec = appendField(rec, q, i, e, length)
	}
	if q.chunked && length >= 0 {
		// RFC 9112 section 7.1.3: once it is decoded, the body has a Content-Length and no Transfer-Encoding.
		var digits [20]byte
		rec = pyhost.AppendPair(rec, "CONTENT_LENGTH", text(strconv.AppendInt(digits[:0], length, 10)))
	}
	return rec
}

// appendField appends the field i of q, joined with later ones of its name, unless an earlier one did that already.
func appendField(rec []byte, q *request, i int, e *endpoints, length int64) []byte {
	f := &q.fields[i]
	name := f.name
	if bytes.IndexByte(name, '_') >= 0 {
		if e.headerPolicy != AllowUnderscores {
			return rec
		}
		return appendUnderscored(rec, q, i)
	}
	if c := lower(name[0]); (c == 'x' || c == 'f' || c == 't' || c == 'c') && e.hides(name) {
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
	case len(requestIDField):
		if e.requestIDs && isRequestID(name) {
			return rec
		}
	case 17:
		if equalFold(name, "transfer-encoding") && length >= 0 {
			return rec
		}
	}
	for j := range i {
		if q.mayBeSame(i, j) && equalFold(name, q.fields[j].name) {
			return rec
		}
	}
	var scratch [64]byte
	key := appendKey(scratch[:0], name)
	sep := ","
	switch string(key) {
	case "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH":
		key = key[len("HTTP_"):]
	case "HTTP_COOKIE":
		sep = "; "
	}
	value := f.value[:len(f.value):len(f.value)] // the first append copies it, and the others find room
	for j := i + 1; j < len(q.fields); j++ {
		if q.mayBeSame(i, j) && equalFold(name, q.fields[j].name) {
			value = append(append(value, sep...), q.fields[j].value...)
		}
	}
	return pyhost.AppendPair(rec, text(key), text(value))
}

// appendKey appends the key of a field: RFC 3875 section 4.1.18.
func appendKey(key, name []byte) []byte {
	key = append(key, "HTTP_"...)
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case c == '-':
			c = '_'
		}
		key = append(key, c)
	}
	return key
}

// appendServerOfHost appends SERVER_NAME and SERVER_PORT of the host that the client asked for; at is the port where it is known. PEP 3333
// wants both, never empty.
func appendServerOfHost(rec, host, at []byte, scheme string) []byte {
	port := text(at)
	if at == nil {
		port = defaultPort(scheme)
		if p := portOf(host); p != nil {
			port = text(p)
		}
	}
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	if len(host) == 0 {
		host = []byte("localhost")
	}
	rec = pyhost.AppendPair(rec, "SERVER_NAME", text(host))
	return pyhost.AppendPair(rec, "SERVER_PORT", port)
}

// text is b as a string without a copy, for a call that does not keep it.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
