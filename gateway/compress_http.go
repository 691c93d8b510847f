package gateway

// code decides whether the body is compressed, of which total bytes are there, and returns the header record to send. A whole one is
// compressed at once, for its length.
func (s *httpResponse) code(head *responseHead, total int64) (headers []byte, err error) {
	o := &s.k.out
	headers, e := head.encode(o, s.q.head, acceptedCoding(s.q.fields), total)
	switch {
	case e == nil:
		return headers, nil
	case e.stream:
		s.coded, s.f, s.left = e, untilClose, e.left
		return headers, nil
	}
	shrunk, length, err := e.shrink(o)
	if err != nil {
		return nil, err
	}
	if shrunk {
		s.coded = e
	}
	*head, s.f, s.left = e.head, byLength, length
	return e.headers, nil
}

// writeCoded compresses and writes what was taken, and flushes it, so that the client can decode what the app gave so far; and ends a body
// that is whole.
func (s *httpResponse) writeCoded() (overrun bool, err error) {
	o, e := &s.k.out, s.coded
	defer e.sent()
	if !e.stream {
		s.coded, s.left = nil, 0
		_, err := s.w.Write(e.coded())
		s.flush()
		return false, err
	}
	over := e.ended
	overrun, err = e.take(o, s.sendCoded, func(int) {})
	s.left, s.ended = e.left, e.ended
	if err != nil || over {
		return overrun, err
	}
	if s.ended {
		e.end()
	}
	if err := s.sendCoded(); err != nil {
		return overrun, err
	}
	s.flush()
	return overrun, nil
}

// sendCoded writes what came out of the encoder.
func (s *httpResponse) sendCoded() error {
	b := s.coded.coded()
	if len(b) == 0 {
		return nil
	}
	_, err := s.w.Write(b)
	s.coded.sent()
	return err
}
