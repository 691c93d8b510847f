package gateway

import (
	"crypto/tls"
	"net"
	"testing"
)

// RFC 8737, section 3: a connection that negotiated acme-tls/1 is closed after the handshake, without data.
func TestAConnectionOfAnotherProtocolEndsWithItsHandshake(t *testing.T) {
	ran := make(chan bool, 1)
	ts := serveListener(t, func(r *fakeRequest) { ran <- true }, func(ln net.Listener) net.Listener {
		c := serverTLS()
		c.NextProtos = append(c.NextProtos, "acme-tls/1")
		return &Listener{Listener: ln, TLS: c}
	})
	c := ts.dialTLS(clientTLS("acme-tls/1"))
	if err := c.Conn.(*tls.Conn).Handshake(); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came", n)
	}
	if len(ran) > 0 {
		t.Error("the app was called")
	}
}
