package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// prelude is what comes before HTTP on a connection: its PROXY header, its TLS handshake. It is the connection's goroutine, and may take
// HeaderTimeout. After it the connection is one of the poll loop's, or is served as HTTP/2.
func (c *conn) prelude(l *listener) {
	w := &wire{c: c}
	defer func() {
		if r := recover(); r != nil {
			c.s.logPanic("connection from "+c.client(), r)
			c.finish()
		}
	}()
	c.idleSince.Store(c.s.clock.Load())
	c.setDeadline(c.s.HeaderTimeout)
	if l.proxyProtocol {
		if err := c.takeProxyHeader(w); err != nil {
			if !quietEnd(err) {
				c.s.unproxied.add(c.client() + ": " + err.Error())
			}
			c.finish()
			return
		}
	}
	if l.tls == nil {
		c.begin()
		return
	}
	conn := tls.Server(w, l.tls)
	if err := conn.HandshakeContext(context.Background()); err != nil {
		c.refuseHandshake(w, err)
		return
	}
	state := conn.ConnectionState()
	c.ends.scheme = "https"
	c.fixed = appendTLS(c.ends.appendPairs(nil), &state)
	c.tlsState = &state
	switch state.NegotiatedProtocol {
	case "", "http/1.1":
	case "h2":
		c.deadline.Store(0) // net/http has its own; until a request comes the connection can be closed for others
		c.s.h2.serve(conn)
		return
	default: // acme-tls/1 (RFC 8737), whose handshake is all there is
		c.finish()
		return
	}
	c.detach(w, conn)
	c.begin()
}

// begin gives the connection to the poll loop, or goes on with it where its first request is there already.
func (c *conn) begin() {
	c.awaitRequest(c.s.IdleTimeout)
	if c.rest() {
		return
	}
	c.serve()
}

// refuseHandshake ends a connection whose handshake failed. Who speaks plain HTTP is told so.
func (c *conn) refuseHandshake(w *wire, err error) {
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok && e.Conn != nil && looksLikeHTTP(e.RecordHeader[:]) {
		c.answer(appendPlain(nil, 400, false, false, false))
		c.linger()
	} else if refusedCertificate(err) {
		c.s.uncertified.add(c.client() + ": " + err.Error())
	} else if !quietEnd(err) {
		c.s.log().Debug("gateway: a TLS handshake failed", "client", c.client(), "error", err)
	}
	c.finish()
}

// refusedCertificate says whether a handshake failed for the client's certificate, or since it has none, which crypto/tls has no type for.
func refusedCertificate(err error) bool {
	_, wrong := errors.AsType[*tls.CertificateVerificationError](err)
	return wrong || strings.HasSuffix(err.Error(), "client didn't provide a certificate")
}

// looksLikeHTTP says whether what came instead of a TLS record is the beginning of a request.
func looksLikeHTTP(p []byte) bool {
	for _, method := range []string{"GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH"} {
		if strings.HasPrefix(string(p), method) {
			return true
		}
	}
	return false
}

// quietEnd says whether a client just left, or was sent away.
func quietEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET)
}
