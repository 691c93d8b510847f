package gateway

import "bytes"

// field is a header field as sent: its name keeps its case, its value has no white space around it.
type field struct{ name, value []byte }

// request is a parsed header section. All slices point into the bytes that were parsed.
type request struct {
	method []byte
	raw    []byte // the request target as sent
	target target
	http10 bool
	http2  bool
	fields []field
	sums   []uint64 // of the fields' names, see mayBeSame; nil: there are few

	host          []byte // of the Host field; the authority of an absolute form comes before it
	contentLength int64  // -1 where there is none
	chunked       bool
	keepAlive     bool // what version and Connection ask
	expect        bool // 100-continue
	head          bool // the method is HEAD

	id    []byte // its X-Request-ID, once requestIDs.of was asked
	newID [newRequestID]byte
}

// hasBody says whether a body follows, RFC 9112 section 6.3.
func (q *request) hasBody() bool { return q.chunked || q.contentLength > 0 }

// reset makes q ready for the next header section and keeps the memory of its fields.
func (q *request) reset() {
	*q = request{fields: q.fields[:0], contentLength: -1}
}

// parse reads a whole header section, as headScanner finds it, into q. It returns 0, or the status to refuse the request with. Whatever
// could be read in two ways is refused (RFC 9112 sections 2.2, 5.1, 5.2, 6.1, 6.3, 11.2).
func (q *request) parse(head []byte) (status int) {
	q.reset()
	if head[0] == '\r' {
		head = head[2:]
	}
	line, rest := cutLine(head)
	if status := q.parseRequestLine(line); status != 0 {
		return status
	}
	var hosts, lengths, codings, types int
	var closeAsked, keepAsked, expectOther bool
	for {
		line, rest = cutLine(rest)
		if len(line) == 0 {
			break
		}
		colon := 0
		for colon < len(line) && charClass[line[colon]]&tokenChar != 0 {
			colon++
		}
		// Also refuses white space before the colon and a folded line, which begins with white space.
		if colon == 0 || colon == len(line) || line[colon] != ':' {
			return 400
		}
		f := field{name: line[:colon], value: trimOWS(line[colon+1:])}
		if !all(f.value, fieldChar) {
			return 400
		}
		q.fields = append(q.fields, f)
		switch len(f.name) {
		case 4:
			if equalFold(f.name, "host") {
				hosts++
				q.host = f.value
			}
		case 6:
			if equalFold(f.name, "expect") {
				if equalFold(f.value, "100-continue") {
					q.expect = true
				} else {
					expectOther = true
				}
			}
		case 10:
			if equalFold(f.name, "connection") {
				c, k := connectionTokens(f.value)
				closeAsked, keepAsked = closeAsked || c, keepAsked || k
			}
		case 12:
			if equalFold(f.name, "content-type") {
				types++
			}
		case 14:
			if equalFold(f.name, "content-length") {
				lengths++
				if q.contentLength = parseLength(f.value); q.contentLength < 0 {
					return 400
				}
			}
		case 17:
			if equalFold(f.name, "transfer-encoding") {
				codings++
				if !equalFold(f.value, "chunked") {
					return 400
				}
			}
		}
	}
	if hosts > 1 || hosts == 0 && !q.http10 || hosts == 1 && !validAuthority(q.host) {
		return 400
	}
	// RFC 9110 section 8.3: which of two content types counts, each recipient decides in its own way.
	if types > 1 {
		return 400
	}
	// RFC 9112 section 6.1: a Transfer-Encoding in HTTP/1.0 is faulty framing.
	if lengths+codings > 1 || codings == 1 && q.http10 {
		return 400
	}
	q.chunked = codings == 1
	if q.target.form == absoluteForm || q.target.form == asteriskForm && q.target.authority != nil {
		q.host = q.target.authority
	}
	q.keepAlive = !closeAsked && (!q.http10 || keepAsked)
	if q.http10 {
		q.expect = false // RFC 9110 section 10.1.1: ignored in an HTTP/1.0 request
	} else if expectOther {
		return 417
	}
	q.expect = q.expect && q.hasBody()
	if q.target.form == authorityForm {
		return 501
	}
	return 0
}

// parseRequestLine reads method SP request-target SP HTTP-version, RFC 9112 section 3.
func (q *request) parseRequestLine(line []byte) (status int) {
	i := bytes.IndexByte(line, ' ')
	if i <= 0 {
		return 400
	}
	if status := checkMethod(line[:i]); status != 0 {
		return status
	}
	q.method, line = line[:i], line[i+1:]
	if i = bytes.IndexByte(line, ' '); i <= 0 {
		return 400
	}
	var version []byte
	q.raw, version = line[:i], line[i+1:]
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		q.http10 = true
	default:
		if len(version) == 8 && string(version[:5]) == "HTTP/" && version[6] == '.' && isDigit(version[5]) && isDigit(version[7]) {
			return 505
		}
		return 400
	}
	q.head = string(q.method) == "HEAD"
	var err error
	if q.target, err = splitTarget(q.method, q.raw); err != nil {
		return 400
	}
	return 0
}

// checkMethod returns 0, or the status to refuse a method with. Methods are case-sensitive (RFC 9110 section 9.1), but frameworks turn
// them into capitals, so that "post" would get past a rule for POST in front of them. So no method is implemented that is not made of
// capitals, digits, "-" and "_", as all registered ones are.
func checkMethod(method []byte) (status int) {
	switch {
	case all(method, methodChar):
		return 0
	case all(method, tokenChar):
		return 501
	}
	return 400
}

// cutLine returns the bytes before the first CR LF and those after it. A CR or LF anywhere else is no character of any element, so it is
// refused where the line is looked at. Without a line end the line is empty.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 {
		return nil, nil
	}
	return b[:i-1], b[i+1:]
}

// connectionTokens looks for the options "close" and "keep-alive" in a Connection field (RFC 9110 section 7.6.1), in any case.
func connectionTokens(v []byte) (closes, keeps bool) {
	for len(v) > 0 {
		token := v
		if i := bytes.IndexByte(v, ','); i >= 0 {
			token, v = v[:i], v[i+1:]
		} else {
			v = nil
		}
		token = trimOWS(token)
		closes = closes || equalFold(token, "close")
		keeps = keeps || equalFold(token, "keep-alive")
	}
	return closes, keeps
}

// parseLength reads 1*DIGIT, RFC 9110 section 8.6. -1: it is not that, or over 2^59.
func parseLength(v []byte) int64 {
	if len(v) == 0 || len(v) > 18 {
		return -1
	}
	n := int64(0)
	for _, c := range v {
		if !isDigit(c) {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
