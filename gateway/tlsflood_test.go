package gateway

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
)

// keyUpdates is what a client sends that has its keys changed all the time (RFC 8446 section 4.6.3).
type keyUpdates struct {
	*client
	secret []byte
	seal   cipher.AEAD
	iv     []byte
	n      uint64 // records under the keys
}

func (ts *testServer) dialKeyUpdates() *keyUpdates {
	ts.t.Helper()
	var keys bytes.Buffer
	config := clientTLS("http/1.1")
	config.KeyLogWriter = &keys
	nc, err := net.Dial(ts.addr.Network(), ts.addr.String())
	if err != nil {
		ts.t.Fatal(err)
	}
	_ = nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	conn := tls.Client(nc, config)
	k := &keyUpdates{client: ts.client(conn)}
	if err := conn.Handshake(); err != nil {
		ts.t.Fatal(err)
	}
	if conn.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		ts.t.Skip("the machine has no AES, and another cipher was chosen")
	}
	for line := range strings.Lines(keys.String()) {
		if f := strings.Fields(line); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			k.secret, _ = hex.DecodeString(f[2])
		}
	}
	k.derive()
	return k
}

// expand is HKDF-Expand-Label of RFC 8446 section 7.1.
func (k *keyUpdates) expand(label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len("tls13 "+label)))
	info = append(append(info, "tls13 "+label...), 0)
	b, err := hkdf.Expand(sha256.New, k.secret, string(info), n)
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

func (k *keyUpdates) derive() {
	block, err := aes.NewCipher(k.expand("key", 16))
	if err == nil {
		k.seal, err = cipher.NewGCM(block)
	}
	if err != nil {
		k.t.Fatal(err)
	}
	k.iv, k.n = k.expand("iv", 12), 0
}

// record seals one of the type that is behind its content.
func (k *keyUpdates) record(b []byte, content ...byte) []byte {
	nonce := bytes.Clone(k.iv)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^k.n)
	k.n++
	head := []byte{23, 3, 3, 0, byte(len(content) + k.seal.Overhead())}
	return k.seal.Seal(append(b, head...), nonce, content, head)
}

// make is text, each byte after as many key updates as crypto/tls takes on end. They ask the server for one each where ask is set.
func (k *keyUpdates) make(text string, ask bool) (b []byte) {
	message := []byte{24, 0, 0, 1, 0, 22} // a handshake message
	if ask {
		message[4] = 1
	}
	for i := range len(text) {
		for range updatesOnEnd {
			b = k.record(b, message...)
			k.secret = k.expand("traffic upd", sha256.Size)
			k.derive()
		}
		b = k.record(b, text[i], 23) // application data
	}
	return b
}

const (
	updatesOnEnd = 16
	sizeOfUpdate = 27
)

// serveSmall is serveTLS with small buffers of the kernel.
func serveSmall(t *testing.T, set ...func(s *Server)) *testServer {
	return serveListener(t, hello, func(ln net.Listener) net.Listener {
		raw, err := ln.(*net.TCPListener).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4<<10)
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 256<<10)
		})
		return &Listener{Listener: ln, TLS: serverTLS()}
	}, set...)
}

const endlessHead = "GET / HTTP/1.1\r\nX: "

func TestKeyUpdatesThatAreAnsweredAndNotReadTakeBoundedMemory(t *testing.T) {
	ts := serveSmall(t)
	k := ts.dialKeyUpdates()
	raw := k.tcp()
	var layer *tlsLayer
	waitFor(t, "the connection is at rest", func() bool {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		for c := range ts.conns {
			c.mu.Lock()
			if c.owner == byNobody {
				layer = c.tls
			}
			c.mu.Unlock()
		}
		return layer != nil
	})
	most := 0
	text := endlessHead + strings.Repeat("x", 3000)
	for len(text) > 0 {
		if _, err := raw.Write(k.make(text[:4], true)); err != nil {
			break
		}
		text = text[4:]
		layer.mu.Lock()
		most = max(most, len(layer.pending))
		layer.mu.Unlock()
	}
	if most > maxUnread {
		t.Errorf("%d bytes were kept for the client", most)
	}
	waitFor(t, "the client is cut off", func() bool { return ts.Connections() == 0 })
}

// crypto/tls goes on to answer a client that knows, and leaves its keys as they are.
func TestAnswersThatCouldNotBeKeptAreNot(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pair[0])
	defer syscall.Close(pair[1])
	layer := &tlsLayer{c: &rawConn{sock: pair[0]}}
	answer := make([]byte, sizeOfUpdate)
	for err == nil {
		_, err = layer.transmit(answer)
	}
	for range 10_000 {
		_, _ = layer.transmit(answer)
	}
	if n := len(layer.pending); n > maxUnread {
		t.Errorf("%d bytes were kept for the client", n)
	}
}

func TestAClientThatReadsTheAnswersToItsKeyUpdatesIsServed(t *testing.T) {
	ts := serveSmall(t)
	k := ts.dialKeyUpdates()
	raw := k.tcp()
	text := bareRequest
	answers := make(chan int64, 1)
	size := int64(len(text) * updatesOnEnd * sizeOfUpdate)
	go func() {
		n, _ := io.CopyN(io.Discard, raw, size+1) // a byte of the response, or a session ticket's
		answers <- n
	}()
	if _, err := raw.Write(k.make(text, true)); err != nil {
		t.Fatal(err)
	}
	if n := <-answers; n != size+1 {
		t.Errorf("%d bytes of answers", n)
	}
	waitFor(t, "the request is run", func() bool { return ts.Requests() == 1 })
}

func TestKeyUpdatesOnEndHoldUpNobodyElse(t *testing.T) {
	ts := serveSmall(t)
	other := ts.dialTLS(clientTLS("http/1.1"))
	other.get("/")
	k := ts.dialKeyUpdates()
	raw := k.tcp()
	_ = raw.SetWriteBuffer(64 << 10)
	flood := k.make(endlessHead+strings.Repeat("x", 6_000), false)
	ended := make(chan error, 1)
	go func() {
		_, err := raw.Write(flood)
		ended <- err
	}()
	other.get("/")
	select {
	case err := <-ended:
		t.Fatalf("another client was answered when all %d bytes were read; %v", len(flood), err)
	default:
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
