package gateway

import "errors"

// targetForm is one of the four forms of a request target, RFC 9112 section 3.2.
type targetForm uint8

const (
	originForm    targetForm = iota // "/where?q=now"
	absoluteForm                    // "http://www.example.org/pub/WWW/TheProject.html"
	asteriskForm                    // "*", with OPTIONS only
	authorityForm                   // "www.example.com:80", with CONNECT only
)

// target is a request target in parts. All are slices of it, as sent: nothing is decoded or normalised.
type target struct {
	form      targetForm
	authority []byte // of the absolute and the authority form
	path      []byte // "/" where an absolute form has none; empty for the asterisk form
	query     []byte // after the first "?"
}

var errTarget = errors.New("gateway: malformed request target")

var slash = []byte("/")

// splitTarget splits a request target by RFC 9112 section 3.2. Refused are bytes that are not visible ASCII, a fragment, user information
// in an authority, and a percent sign in the path that no two hexadecimal digits follow. The query is not decoded here, so browsers'
// "?q=100%" is let through.
func splitTarget(method, raw []byte) (t target, err error) {
	if len(raw) == 0 || !all(raw, targetChar) {
		return t, errTarget
	}
	rest := raw
	switch {
	case string(method) == "CONNECT":
		if !validAuthority(raw) {
			return t, errTarget
		}
		return target{form: authorityForm, authority: raw}, nil
	case raw[0] == '/':
	case len(raw) == 1 && raw[0] == '*':
		if string(method) != "OPTIONS" {
			return t, errTarget
		}
		return target{form: asteriskForm}, nil
	default:
		n := 0
		for _, scheme := range []string{"http://", "https://"} {
			if len(raw) > len(scheme) && equalFold(raw[:len(scheme)], scheme) {
				n = len(scheme)
			}
		}
		if n == 0 {
			return t, errTarget
		}
		t.form = absoluteForm
		end := n
		for end < len(raw) && raw[end] != '/' && raw[end] != '?' {
			end++
		}
		t.authority, rest = raw[n:end], raw[end:]
		if !validAuthority(t.authority) {
			return t, errTarget
		}
	}
	t.path = rest
	for i, c := range rest {
		if c == '?' {
			t.path, t.query = rest[:i], rest[i+1:]
			break
		}
		if c == '%' && (len(rest) < i+3 || charClass[rest[i+1]]&charClass[rest[i+2]]&hexChar == 0) {
			return t, errTarget
		}
	}
	if len(t.path) == 0 {
		// RFC 9112 section 3.2.4: OPTIONS with an absolute form that has no path and no query means "*".
		if string(method) == "OPTIONS" && len(rest) == 0 {
			t.form = asteriskForm
			return t, nil
		}
		t.path = slash
	}
	return t, nil
}

// validAuthority says whether b is host [":" port] of RFC 3986 section 3.2.2, not empty, without user information.
func validAuthority(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	var port []byte
	if b[0] == '[' {
		i := 1
		for i < len(b) && b[i] != ']' {
			// IPv6address or IPvFuture; zone identifiers never travel (RFC 6874 section 1).
			if c := b[i]; charClass[c]&hostChar == 0 && c != ':' || c == '%' {
				return false
			}
			i++
		}
		if i == 1 || i == len(b) {
			return false
		}
		port = b[i+1:]
	} else {
		i := 0
		for i < len(b) && b[i] != ':' {
			if charClass[b[i]]&hostChar == 0 {
				return false
			}
			if b[i] == '%' && (len(b) < i+3 || charClass[b[i+1]]&charClass[b[i+2]]&hexChar == 0) {
				return false
			}
			i++
		}
		if i == 0 {
			return false
		}
		port = b[i:]
	}
	if len(port) == 0 {
		return true
	}
	if port[0] != ':' || len(port) > 6 {
		return false
	}
	for _, c := range port[1:] {
		if c < '0' || '9' < c {
			return false
		}
	}
	return true
}

// unescape appends path to dst with each %XX decoded, once. splitTarget has checked the escapes.
func unescape(dst, path []byte) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			c = unhex(path[i+1])<<4 | unhex(path[i+2])
			i += 2
		}
		dst = append(dst, c)
	}
	return dst
}
