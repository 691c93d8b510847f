package gateway

// Character classes of RFC 9110 and RFC 9112, one bit each.
const (
	tokenChar     = 1 << iota // tchar, RFC 9110 section 5.6.2
	methodChar                // in the methods that are implemented
	fieldChar                 // in a field value: HTAB, SP, VCHAR, obs-text (RFC 9110 section 5.5)
	targetChar                // in a request target: VCHAR but "#" (a fragment is never sent, RFC 9112 section 3.2)
	hostChar                  // in a reg-name or an IPv4 address: unreserved, sub-delims, "%" (RFC 3986 section 3.2.2)
	hexChar                   // HEXDIG
	requestIDChar             // in a request's id that is taken from a proxy
)

var charClass = func() (t [256]uint8) {
	for i := range 256 {
		c := byte(i)
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		in := func(s string) bool {
			for j := range len(s) {
				if s[j] == c {
					return true
				}
			}
			return false
		}
		if alnum || in("!#$%&'*+-.^_`|~") {
			t[i] |= tokenChar
		}
		if 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || in("-_") {
			t[i] |= methodChar
		}
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[i] |= fieldChar
		}
		if c > ' ' && c < 0x7f && c != '#' {
			t[i] |= targetChar
		}
		if alnum || in("-._~!$&'()*+,;=%") {
			t[i] |= hostChar
		}
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' {
			t[i] |= hexChar
		}
		if alnum || in("._:+/=@-") {
			t[i] |= requestIDChar
		}
	}
	return t
}()

// all says whether every byte of b is in one of the classes.
func all(b []byte, class uint8) bool {
	for _, c := range b {
		if charClass[c]&class == 0 {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// equalFold compares b with s, which is in lower case, without regard to the case of ASCII letters.
func equalFold[T []byte | string](b []byte, s T) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range len(s) {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

// trimOWS cuts optional white space (SP, HTAB) off both ends.
func trimOWS(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// unhex is the value of a HEXDIG.
func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}
