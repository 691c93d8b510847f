package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// testAuthority signs what the tests need.
type testAuthority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

var authority = sync.OnceValue(func() *testAuthority {
	a := &testAuthority{key: newKey(), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA", Organization: []string{"Tests"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		panic(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	a.pool.AddCert(a.cert)
	return a
})

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// issue makes a certificate for a name, which serves and asks.
func (a *testAuthority) issue(name string) tls.Certificate {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xABC123), Subject: pkix.Name{CommonName: name, Organization: []string{"Tests"}}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

var serverCertificate = sync.OnceValue(func() tls.Certificate { return authority().issue("localhost") })

func serverTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{serverCertificate()}, NextProtos: []string{"h2", "http/1.1"}}
}

func clientTLS(protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: authority().pool, ServerName: "localhost", NextProtos: protocols}
}

// serveTLS is serve on a listener that speaks TLS.
func serveTLS(t testing.TB, run func(r *fakeRequest), set ...func(s *Server)) *testServer {
	t.Helper()
	return serveListener(t, run, func(ln net.Listener) net.Listener { return &Listener{Listener: ln, TLS: serverTLS()} }, set...)
}

func (ts *testServer) dialTLS(c *tls.Config) *client {
	ts.t.Helper()
	nc, err := net.Dial(ts.addr.Network(), ts.addr.String())
	if err != nil {
		ts.t.Fatal(err)
	}
	return ts.client(tls.Client(nc, c))
}

// overTLS makes serve and dial speak TLS, so that the tests of HTTP/1.1 hold there too.
var overTLS = os.Getenv("GATEWAY_TEST_TLS") != ""

func testListener(ln net.Listener) net.Listener {
	if overTLS {
		return &Listener{Listener: ln, TLS: serverTLS()}
	}
	return ln
}

// tcp is the client's socket.
func (c *client) tcp() *net.TCPConn {
	nc := c.Conn
	if over, ok := nc.(*tls.Conn); ok {
		nc = over.NetConn()
	}
	return nc.(*net.TCPConn)
}
