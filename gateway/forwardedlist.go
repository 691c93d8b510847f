package gateway

import (
	"bytes"
	"net/netip"
	"strconv"
)

// elements are the elements of a list in all header fields of a name, from the last to the first.
type elements struct {
	fields []field
	name   string // in lower case
	i      int    // of the field that line is of
	line   []byte // what is left of it; nil: nothing
}

// last takes the last element off. Not ok: there is none. An element may be empty.
func (l *elements) last(quoted bool) (e []byte, ok bool) {
	for l.line == nil {
		if l.i--; l.i < 0 {
			return nil, false
		}
		if f := &l.fields[l.i]; equalFold(f.name, l.name) {
			l.line = f.value
			if l.line == nil {
				return nil, true
			}
		}
	}
	e = l.line
	comma := bytes.LastIndexByte(e, ',')
	if quoted {
		comma = lastComma(e)
	}
	if l.line = nil; comma >= 0 {
		l.line, e = e[:comma:comma], e[comma+1:]
	}
	return trimOWS(e), true
}

// lastComma is the last comma outside of quoted strings. It looks from the end: what stands before the element that a proxy added, such as a
// quotation mark that is never closed, does not reach into it.
func lastComma(b []byte) int {
	in := false
	for i := len(b) - 1; i >= 0; i-- {
		switch {
		case b[i] == '"' && !(in && escaped(b, i)):
			in = !in
		case b[i] == ',' && !in:
			return i
		}
	}
	return -1
}

// escaped says whether an odd number of backslashes stands before b[i].
func escaped(b []byte, i int) bool {
	n := i
	for n > 0 && b[n-1] == '\\' {
		n--
	}
	return (i-n)%2 == 1
}

// forwardedElement is one proxy's word in a Forwarded field.
type forwardedElement struct {
	addr        netip.Addr // not valid: not told
	port        int        // -1: not told
	proto, host []byte     // nil: not told
}

// parseForwarded reads forwarded-element of RFC 7239 section 4: [ pair ] *( ";" [ pair ] ), strictly: no white space, no parameter twice.
func parseForwarded(b []byte) (e forwardedElement, ok bool) {
	e.port = -1
	var node, by []byte
	for len(b) > 0 {
		if b[0] == ';' {
			b = b[1:]
			continue
		}
		n := tokenLength(b)
		if n == 0 || n == len(b) || b[n] != '=' {
			return e, false
		}
		name := b[:n]
		value, rest, ok := cutValue(b[n+1:])
		if !ok || len(rest) > 0 && rest[0] != ';' {
			return e, false
		}
		b = rest
		var into *[]byte
		switch {
		case equalFold(name, "for"):
			into = &node
		case equalFold(name, "by"):
			into = &by
		case equalFold(name, "proto"):
			into = &e.proto
		case equalFold(name, "host"):
			into = &e.host
		default:
			continue
		}
		if *into != nil {
			return e, false
		}
		*into = value
	}
	if node != nil {
		if e.addr, e.port, ok = parseNode(node); !ok {
			return e, false
		}
	}
	return e, true
}

// cutValue takes token / quoted-string (RFC 9110 section 5.6.4) off the front. The value is not nil, and a copy only where it has escapes.
func cutValue(b []byte) (value, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		n := tokenLength(b)
		return b[:n:n], b[n:], n > 0
	}
	b = b[1:]
	plain := true
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			if value = b[:i:i]; !plain {
				value = unquote(value)
			}
			return value, b[i+1:], true
		case '\\':
			plain = false
			i++
		}
	}
	return nil, nil, false
}

// unquote copies the inside of a quoted string without the backslashes of its quoted pairs.
func unquote(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' {
			i++
		}
		out = append(out, b[i])
	}
	return out
}

func tokenLength(b []byte) int {
	n := 0
	for n < len(b) && charClass[b[n]]&tokenChar != 0 {
		n++
	}
	return n
}

// parseNode reads node of RFC 7239 section 6. addr is not valid where that is "unknown" or an obfuscated name, port is -1 where it has none
// or an obfuscated one.
func parseNode(b []byte) (addr netip.Addr, port int, ok bool) {
	name, rest := b, []byte(nil)
	if len(b) > 0 && b[0] == '[' {
		i := bytes.IndexByte(b, ']')
		if i < 0 {
			return addr, -1, false
		}
		name, rest = b[1:i], b[i+1:]
		if addr, ok = parseAddr(name); !ok || bytes.IndexByte(name, ':') < 0 {
			return netip.Addr{}, -1, false
		}
	} else {
		if i := bytes.IndexByte(b, ':'); i >= 0 {
			name, rest = b[:i], b[i:]
		}
		if addr, ok = parseAddr(name); !ok && !equalFold(name, "unknown") && !obfuscated(name) {
			return netip.Addr{}, -1, false
		}
	}
	port = -1
	if len(rest) > 0 {
		if rest[0] != ':' {
			return netip.Addr{}, -1, false
		}
		if port = parsePort(rest[1:]); port < 0 && !obfuscated(rest[1:]) {
			return netip.Addr{}, -1, false
		}
	}
	return addr, port, true
}

// obfuscated: RFC 7239 section 6.3, obfnode and obfport.
func obfuscated(b []byte) bool {
	if len(b) < 2 || b[0] != '_' {
		return false
	}
	for _, c := range b[1:] {
		if !('a' <= lower(c) && lower(c) <= 'z' || isDigit(c) || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// parseHop reads an element of X-Forwarded-For: an address, of IPv6 with or without brackets, of IPv4 or in brackets with or without a port.
func parseHop(b []byte) (addr netip.Addr, port int, ok bool) {
	if bytes.Count(b, []byte(":")) < 2 || b[0] == '[' {
		addr, port, ok = parseNode(b)
		return addr, port, ok && addr.IsValid()
	}
	addr, ok = parseAddr(b)
	return addr, -1, ok
}

// parseAddr reads an address without a zone, which means nothing on another machine. An IPv4 address in an IPv6 one becomes that.
func parseAddr(b []byte) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text(b))
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// parsePort reads 1*5DIGIT up to 65535, -1 for anything else.
func parsePort(b []byte) int {
	if len(b) > 5 {
		return -1
	}
	if n := parseLength(b); n <= 65535 {
		return int(n)
	}
	return -1
}

// portOf is the port of an authority; nil where it has none, or an empty one.
func portOf(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && i+1 < len(host) && bytes.IndexByte(host[i:], ']') < 0 {
		return host[i+1:]
	}
	return nil
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

func appendInt(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }
