package gateway

import "bytes"

// headLimits bound a request's header section. Line ends count in headerBytes only.
type headLimits struct {
	line        int // bytes of the request line; more: 414
	headerBytes int // bytes of all field lines; more: 431
	fieldBytes  int // bytes of one field line; more: 431
	fields      int // field lines; more: 431
}

var defaultHeadLimits = headLimits{line: 16 << 10, headerBytes: 64 << 10, fieldBytes: 64 << 10, fields: 256}

// headScanner finds the end of a request's header section in bytes that come in pieces, looks at each byte once, and refuses as soon as it
// can what could not become a request: a bare LF, a line or a section over its limit.
type headScanner struct {
	limits *headLimits // nil: defaultHeadLimits

	pos    int  // bytes looked at
	line   int  // where the current line starts
	lines  int  // lines that ended, the request line being the first
	start  int  // where the request line starts: 0, or 2 after an empty line
	fields int  // where the first field line starts
	first  bool // the first byte of the request line was looked at
}

// scan looks at head, which begins where it began before and may be longer now. end is the length of the whole header section, 0 where it
// is not there yet. status is the answer where it is refused.
func (s *headScanner) scan(head []byte) (end, status int) {
	if s.limits == nil {
		s.limits = &defaultHeadLimits
	}
	for {
		if !s.first && len(head) > s.start {
			// RFC 9112 section 2.2: a server should ignore at least one empty line before the request line. One, no more.
			if c := head[s.start]; c == '\r' && s.start == 0 {
				if len(head) > 1 && head[1] != '\n' {
					return 0, 400
				}
			} else if charClass[c]&tokenChar == 0 {
				return 0, 400
			} else {
				s.first = true
			}
		}
		i := bytes.IndexByte(head[s.pos:], '\n')
		if i < 0 {
			s.pos = len(head)
			return 0, s.over(head)
		}
		i += s.pos
		s.pos = i + 1
		if status := s.over(head[:i]); status != 0 {
			return 0, status
		}
		if i == s.line || head[i-1] != '\r' {
			return 0, 400
		}
		switch {
		case i-1 > s.line:
			if s.lines++; s.lines == 1 {
				s.fields = s.pos
			}
		case i == 1:
			s.start = 2
		default:
			return s.pos, 0
		}
		s.line = s.pos
		if s.lines > s.limits.fields+1 {
			return 0, 431
		}
	}
}

// over is the status for a line that goes on to the end of head at least, where that is over a limit.
func (s *headScanner) over(head []byte) int {
	n := len(head)
	if n > 0 && head[n-1] == '\r' {
		n--
	}
	if s.lines == 0 {
		if n-s.start > s.limits.line {
			return 414
		}
	} else if n-s.fields > s.limits.headerBytes || n-s.line > s.limits.fieldBytes {
		return 431
	}
	return 0
}
