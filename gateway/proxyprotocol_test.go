package gateway

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pires/go-proxyproto"
)

// proxyV2 is a version 2 header: command 0 is LOCAL, 1 PROXY; the rest are its address family and transport and what follows.
func proxyV2(command, family byte, rest []byte) string {
	b := append([]byte(proxyproto.SIGV2[:len(proxyproto.SIGV2):len(proxyproto.SIGV2)]), 0x20|command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(rest)))
	return string(append(b, rest...))
}

var proxyV4Addresses = []byte{192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 80} // from 192.0.2.1:4660 to 10.0.0.1:80

func proxyV6Addresses() []byte {
	b := append(net.ParseIP("2001:db8::1").To16(), net.ParseIP("2001:db8::2").To16()...)
	return append(b, 0x12, 0x34, 1, 187)
}

const (
	proxyV1 = "PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\n"
	own     = "<nil> <nil>"
)

// readConn is a connection of which only reads matter.
type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func TestAPROXYHeaderIsReadToItsEndAndNoFurther(t *testing.T) {
	const v4, v6 = "192.0.2.1:4660 10.0.0.1:80", "[2001:db8::1]:4660 [2001:db8::2]:443"
	note := append([]byte{4, 0, 3}, "abc"...)
	for name, c := range map[string]struct{ header, want string }{
		"v1":                     {proxyV1, v4},
		"v1, IPv6":               {"PROXY TCP6 2001:db8::1 2001:db8::2 4660 443\r\n", v6},
		"v1, the longest":        {"PROXY UNKNOWN " + strings.Repeat("f", longestProxyV1-16) + "\r\n", own},
		"v1, unknown":            {"PROXY UNKNOWN\r\n", own},
		"v1, unknown, addresses": {"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", own},
		"v2":                     {proxyV2(1, 0x11, proxyV4Addresses), v4},
		"v2, IPv6":               {proxyV2(1, 0x21, proxyV6Addresses()), v6},
		"v2, notes":              {proxyV2(1, 0x11, append(proxyV4Addresses[:12:12], note...)), v4},
		"v2, the longest":        {proxyV2(1, 0x11, append(proxyV4Addresses[:12:12], make([]byte, longestProxyV2-16-12)...)), v4},
		"v2, local":              {proxyV2(0, 0, nil), own},
		"v2, local, addresses":   {proxyV2(0, 0x11, proxyV4Addresses), own},
		"v2, local, a short one": {proxyV2(0, 0x11, []byte{1, 2}), own},
		"v2, unix sockets":       {proxyV2(1, 0x31, make([]byte, 216)), own},
	} {
		for _, follows := range []string{"", "GET / HTTP/1.1\r\n", "\r\n", proxyV1} {
			for _, slow := range []bool{false, true} {
				var in io.Reader = strings.NewReader(c.header + follows)
				if slow {
					in = iotest.OneByteReader(in)
				}
				remote, local, err := readProxyHeader(readConn{Reader: in})
				if got := fmt.Sprint(remote, " ", local); err != nil || got != c.want {
					t.Errorf("%s: %s, %v, expected %s", name, got, err, c.want)
				}
				if rest, _ := io.ReadAll(in); string(rest) != follows {
					t.Errorf("%s: %q is left, not %q", name, rest, follows)
				}
			}
		}
	}
}

// badPROXYHeaders each have a request after them.
func badPROXYHeaders() map[string]string {
	return map[string]string{
		"none":                         "",
		"in lower case":                "proxy TCP4 192.0.2.1 10.0.0.1 4660 80\r\n",
		"twice a space":                "PROXY  TCP4 192.0.2.1 10.0.0.1 4660 80\r\n",
		"a tab":                        "PROXY\tTCP4 192.0.2.1 10.0.0.1 4660 80\r\n",
		"a bare LF":                    "PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\n",
		"too long":                     "PROXY UNKNOWN " + strings.Repeat("f", longestProxyV1-15) + "\r\n",
		"without end":                  "PROXY TCP4 " + strings.Repeat("1", 10_000),
		"IPv6 as TCP4":                 "PROXY TCP4 ::1 ::1 1 2\r\n",
		"a zone":                       "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
		"a bad address":                "PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
		"a bad port":                   "PROXY TCP4 192.0.2.1 10.0.0.1 65536 2\r\n",
		"a port with a zero":           "PROXY TCP4 192.0.2.1 10.0.0.1 080 2\r\n",
		"one word more":                "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n",
		"UDP4":                         "PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n",
		"v2, version 1":                string(proxyproto.SIGV2) + "\x11\x11\x00\x0c" + string(proxyV4Addresses),
		"v2, version 3":                string(proxyproto.SIGV2) + "\x31\x11\x00\x0c" + string(proxyV4Addresses),
		"v2, another command":          proxyV2(2, 0x11, proxyV4Addresses),
		"v2, another family":           proxyV2(1, 0x41, proxyV4Addresses),
		"v2, a datagram":               proxyV2(1, 0x12, proxyV4Addresses),
		"v2, no family":                proxyV2(1, 0, nil),
		"v2, too short":                proxyV2(1, 0x11, proxyV4Addresses[:11]),
		"v2, too long":                 proxyV2(1, 0x11, append(proxyV4Addresses[:12:12], make([]byte, longestProxyV2-16-11)...)),
		"v2, the length of the format": proxyV2(0, 0, make([]byte, 65535)),
		"v2, half a signature":         string(proxyproto.SIGV2[:8]) + "XXXXXXXX",
	}
}

func TestAMalformedPROXYHeaderIsRefused(t *testing.T) {
	for name, header := range badPROXYHeaders() {
		remote, local, err := readProxyHeader(readConn{Reader: strings.NewReader(header + "GET / HTTP/1.1\r\nHost: h\r\n\r\n")})
		if err == nil {
			t.Errorf("%s: %v %v", name, remote, local)
		}
	}
}

// ends answers with what the environ says of the connection and the URL.
func ends(r *fakeRequest) {
	e := r.Environ
	r.Reply("200 OK", plainText, fmt.Sprintf("%s:%s %s:%s %s", e["REMOTE_ADDR"], e["REMOTE_PORT"], e["SERVER_NAME"], e["SERVER_PORT"], e["wsgi.url_scheme"]))
}

// serveProxied serves on a listener whose connections begin with PROXY headers.
func serveProxied(t *testing.T, run func(r *fakeRequest), set ...func(s *Server)) *testServer {
	t.Helper()
	ts := serve(t, run, set...)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ts.serveOn(&Listener{Listener: ln, ProxyProtocol: true})
	return ts
}

const bareRequest = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

func TestTheClientIsTheOneOfThePROXYHeader(t *testing.T) {
	for name, c := range map[string]struct{ header, want string }{
		"v1": {proxyV1, "192.0.2.1:4660 10.0.0.1:80 http"},
		"v2": {proxyV2(1, 0x21, proxyV6Addresses()), "2001:db8::1:4660 2001:db8::2:443 http"},
	} {
		t.Run(name, func(t *testing.T) {
			ts := serveProxied(t, ends)
			c2 := ts.dial()
			c2.send(c.header + bareRequest + bareRequest) // with requests right behind it
			c2.want(200, c.want)
			c2.want(200, c.want)
			c2.send(bareRequest)
			c2.want(200, c.want)

			slow := ts.dial()
			for i := range c.header {
				slow.send(c.header[i : i+1])
			}
			slow.send(bareRequest)
			slow.want(200, c.want)
		})
	}
	for _, header := range []string{"PROXY UNKNOWN\r\n", proxyV2(0, 0, nil)} {
		ts := serveProxied(t, ends)
		c := ts.dial()
		c.send(header + bareRequest)
		c.want(200, fmt.Sprintf("%v %v http", c.LocalAddr(), c.RemoteAddr()))
	}
}

func TestAConnectionWithoutAPROXYHeaderIsClosed(t *testing.T) {
	ts := serveProxied(t, hello, func(s *Server) { s.HeaderTimeout = 5 * time.Second })
	for name, header := range badPROXYHeaders() {
		c := ts.dial()
		c.t = t
		c.send(header)
		_, _ = io.WriteString(c, bareRequest) // it may be closed already
		if b, err := c.r.ReadByte(); err == nil {
			t.Errorf("%s: it is answered by %q", name, b)
		} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Errorf("%s: it stays open", name)
		}
	}
	if n := ts.app.count(&ts.app.requests); n != 0 {
		t.Errorf("%d requests reached the app", n)
	}
	waitFor(t, "the log says so", func() bool {
		return strings.Contains(ts.logs.String(), "a PROXY header that can be used does not come first")
	})
	if n := strings.Count(ts.logs.String(), "PROXY header that can be used"); n > 6 {
		t.Errorf("%d lines of log", n)
	}
}

func TestAPROXYHeaderThatDoesNotComeIsNotAwaitedForEver(t *testing.T) {
	ts := serveProxied(t, hello, func(s *Server) { s.HeaderTimeout = 50 * time.Millisecond })
	for _, beginning := range []string{"", "P", "PROXY TCP4 192.0.2.1 ", string(proxyproto.SIGV2)} {
		c := ts.dial()
		c.send(beginning)
		c.wantClosed()
	}
}

func TestWhereNoPROXYHeaderIsExpectedItIsABadRequest(t *testing.T) {
	ts := serve(t, hello)
	for _, header := range []string{proxyV1, proxyV2(1, 0x11, proxyV4Addresses), proxyV2(0, 0, nil), "PROXY UNKNOWN\r\n"} {
		c := ts.dial()
		c.send(header + bareRequest)
		c.want(400, "*")
		c.wantClosed()
	}
	if n := ts.app.count(&ts.app.requests); n != 0 {
		t.Errorf("%d requests reached the app", n)
	}
}

func TestOnlyTrustedProxiesMaySendAPROXYHeaderWhereThereAreSome(t *testing.T) {
	ts := serveProxied(t, ends, func(s *Server) { s.TrustedProxies = trusted(t, "10.0.0.0/8") })
	c := ts.dial()
	c.send(proxyV1)
	_, _ = io.WriteString(c, bareRequest)
	if b, err := c.r.ReadByte(); err == nil {
		t.Errorf("it is answered by %q", b)
	}
	waitFor(t, "the log says so", func() bool { return strings.Contains(ts.logs.String(), "no trusted proxy") })
}

// The header's address is the peer's from then on: whether X-Forwarded-For holds is decided by it.
func TestXForwardedForHoldsWhereThePROXYHeadersAddressIsTrusted(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n\r\n"
	for trust, want := range map[string]string{
		"127.0.0.1":              "192.0.2.1:4660 10.0.0.1:80 http",
		"*":                      "192.0.2.1:4660 10.0.0.1:80 http", // whoever connects, not whom he names
		"127.0.0.1,192.0.2.0/24": "198.51.100.7: h:443 https",
	} {
		ts := serveProxied(t, ends, func(s *Server) { s.TrustedProxies = trusted(t, strings.Split(trust, ",")...) })
		c := ts.dial()
		c.send(proxyV1 + request)
		c.want(200, want)
	}
}

func TestAPROXYHeaderComesOverUnixSocketsToo(t *testing.T) {
	ts := serve(t, ends, func(s *Server) { s.TrustedProxies = trusted(t, "unix") })
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	ts.serveOn(&Listener{Listener: ln, ProxyProtocol: true})
	c := ts.dial()
	c.send(proxyV1 + bareRequest)
	c.want(200, "192.0.2.1:4660 10.0.0.1:80 http")
	c = ts.dial()
	c.send("PROXY UNKNOWN\r\n" + bareRequest)
	c.want(200, ": h:80 http")
}

func FuzzProxyHeader(f *testing.F) {
	for _, s := range []string{proxyV1, "PROXY UNKNOWN\r\n", proxyV2(1, 0x11, proxyV4Addresses), proxyV2(1, 0x21, proxyV6Addresses()), proxyV2(0, 0x11, nil)} {
		f.Add([]byte(s + bareRequest))
	}
	for _, s := range badPROXYHeaders() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		in := bytes.NewReader(raw)
		remote, local, err := readProxyHeader(readConn{Reader: in})
		used := len(raw) - in.Len()
		if used > longestProxyV2 {
			t.Fatalf("%d bytes were read", used)
		}
		if err != nil {
			return
		}
		if (remote == nil) != (local == nil) {
			t.Fatal(remote, local)
		}
		if v1 := raw[0] == 'P'; v1 && (used > longestProxyV1 || bytes.IndexByte(raw, '\n') != used-1) {
			t.Fatalf("%d bytes were read of %q", used, raw)
		} else if !v1 && used != 16+int(binary.BigEndian.Uint16(raw[14:])) {
			t.Fatalf("%d bytes were read of %q", used, raw)
		}
		if remote != nil {
			if host, port := splitAddr(remote); host == "" || port == "" {
				t.Fatal(remote)
			}
		}
	})
}

func TestTheLimitOnAClientsConnectionsIsThatOfThePROXYHeadersClient(t *testing.T) {
	ts := serveProxied(t, ends, func(s *Server) {
		s.MaxClientConnections, s.TrustedProxies = 2, trusted(t, "127.0.0.1", "198.51.100.0/24")
	})
	ask := func(from string) *client {
		c := ts.dial()
		c.send(strings.Replace(proxyV1, "192.0.2.1", from, 1))
		_, _ = io.WriteString(c, bareRequest)
		return c
	}
	for _, from := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "198.51.100.7", "198.51.100.7", "198.51.100.7"} {
		ask(from).want(200, "*")
	}
	if b, err := ask("192.0.2.1").r.ReadByte(); err == nil {
		t.Errorf("a third connection is answered by %q", b)
	}
}
