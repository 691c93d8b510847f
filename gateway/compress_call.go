package gateway

// startCoded begins a response of a server that compresses; total is the length of the body's chunks that are there. It returns the header
// record to send where the body goes out as it is; taken: it is compressed, and the writer has it. k.mu is held.
func (k *call) startCoded(h *responseHead, total int64) (headers []byte, taken bool) {
	headers, e := h.encode(&k.out, k.head, k.wanted, total)
	if e == nil {
		return headers, false
	}
	k.coded = e
	mayKeep := k.keepAlive && k.c.mayKeepAlive(k)
	if !e.stream {
		k.startWriter(nil, nil, noBody, 0, mayKeep)
		return nil, true
	}
	f, _ := h.frame(false, k.http10, false, 0)
	keep := mayKeep && f != untilClose
	p := getBuffer(len(k.out.Status) + len(headers) + 256)
	k.startWriter(p, k.appendHead(p.b[:0], h, headers, f, 0, keep), f, e.left, keep)
	return nil, true
}

// writeWholeCoded compresses a body and writes the response; one that does not shrink goes out as it is.
func (k *call) writeWholeCoded(c *conn) error {
	w, o, e := &k.w, &k.out, k.coded
	defer e.release()
	k.coded = nil
	shrunk, length, err := e.shrink(o)
	if err != nil {
		return err
	}
	w.p = getBuffer(len(o.Status) + len(e.headers) + 256)
	w.b = k.appendHead(w.p.b[:0], &e.head, e.headers, byLength, length, w.keep)
	if !shrunk {
		w.framing, w.left = byLength, length
		return k.writeChunks(c)
	}
	k.giveBack()
	w.framing = byLength // of which nothing is left
	w.cut()
	w.pieces = append(w.pieces, e.coded())
	w.size += int(length)
	return k.flush(c)
}

// writeCoded compresses and writes what was taken, so that the client can decode what the app gave so far, gives the chunks back, and ends a
// body that is whole.
func (k *call) writeCoded(c *conn) error {
	w, e := &k.w, k.coded
	defer k.giveBack()
	over := e.ended
	overrun, err := e.take(&k.out, func() error { return k.sendCoded(c, false) }, k.giveBackTo)
	w.overrun = w.overrun || overrun
	w.left, w.ended = e.left, e.ended
	if err != nil || over {
		return err
	}
	err = k.sendCoded(c, w.ended)
	w.p.put() // as where it is not compressed
	w.p, w.b = nil, nil
	if w.ended {
		e.release()
	}
	return err
}

// sendCoded writes what came out of the encoder.
func (k *call) sendCoded(c *conn, last bool) error {
	w, e := &k.w, k.coded
	w.cut() // the head
	if p := e.framed(w.framing, last); len(p) > 0 {
		w.pieces = append(w.pieces, p)
		w.size += len(p)
	}
	err := k.flush(c)
	e.sent()
	return err
}
