package gateway

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/pires/go-proxyproto"
)

// Lengths of PROXY headers. Those of version 1 are proxy-protocol.txt's, section 2.1. Version 2 has room for 64 KiB of notes (TLVs), which
// are dropped here; 536 bytes is what the text promises to pass in one piece.
const (
	longestProxyV1 = 107
	longestProxyV2 = 536
	proxyV2Fixed   = 16
)

// takeProxyHeader reads the PROXY header of the connection and makes the address in it that of the client, by which it is decided whether
// that is a trusted proxy too. Where some are trusted, only they may send it.
func (c *conn) takeProxyHeader(nc net.Conn) error {
	if c.s.proxies != nil && c.ends.proxies == nil {
		return errors.New("no trusted proxy")
	}
	remote, local, err := readProxyHeader(nc)
	if err != nil || remote == nil {
		return err
	}
	c.ends.remoteAddr, c.ends.remotePort = splitAddr(remote)
	c.ends.serverName, c.ends.serverPort = splitAddr(local)
	c.ends.proxies = c.s.proxies.ofAddr(c.ends.remoteAddr)
	c.fixed = c.ends.appendPairs(nil)
	if !c.s.countFor(c) {
		return net.ErrClosed // as where the client left: countFor has noted it
	}
	return nil
}

// readProxyHeader reads the PROXY header, version 1 or 2, that a connection begins with, and not a byte of what follows. The addresses are
// those of the connection that the proxy took: the client's end and the proxy's. Both are nil where the header says that there are none
// (LOCAL, UNKNOWN), or that they are unix sockets': the connection's own hold then. It waits as long as nc's deadline lets it. After an error
// nc is good for nothing.
func readProxyHeader(nc net.Conn) (remote, local net.Addr, err error) {
	raw, err := readProxyBytes(nc)
	if err != nil {
		return nil, nil, fmt.Errorf("no PROXY header: %w", err)
	}
	in := bytes.NewReader(raw)
	h, err := proxyproto.Read(bufio.NewReaderSize(in, longestProxyV2))
	if err != nil {
		return nil, nil, fmt.Errorf("malformed PROXY header: %w", err)
	}
	if h.Command.IsLocal() {
		return nil, nil, nil
	}
	switch h.TransportProtocol {
	case proxyproto.TCPv4, proxyproto.TCPv6:
		return h.SourceAddr, h.DestinationAddr, nil
	case proxyproto.UnixStream:
		return nil, nil, nil
	}
	return nil, nil, errors.New("malformed PROXY header: it is of a datagram, not of a connection")
}

// readProxyBytes reads as much as belongs to the header for certain, until it is whole.
func readProxyBytes(r io.Reader) ([]byte, error) {
	b := make([]byte, longestProxyV2)
	n := len(proxyproto.SIGV2) // no header is shorter
	if _, err := io.ReadFull(r, b[:n]); err != nil {
		return nil, err
	}
	switch {
	case bytes.Equal(b[:n], proxyproto.SIGV2):
		if _, err := io.ReadFull(r, b[n:proxyV2Fixed]); err != nil {
			return nil, err
		}
		n = proxyV2Fixed + int(binary.BigEndian.Uint16(b[proxyV2Fixed-2:]))
		if n > longestProxyV2 {
			return nil, fmt.Errorf("it has %d bytes, more than %d", n, longestProxyV2)
		}
		_, err := io.ReadFull(r, b[proxyV2Fixed:n])
		return b[:n], err
	case bytes.HasPrefix(b, []byte("PROXY ")):
		for b[n-1] != '\n' {
			more := 2 // CR LF
			if b[n-1] == '\r' {
				more = 1
			}
			if n+more > longestProxyV1 {
				return nil, fmt.Errorf("its line has more than %d bytes", longestProxyV1)
			}
			if _, err := io.ReadFull(r, b[n:n+more]); err != nil {
				return nil, err
			}
			n += more
		}
		return b[:n], nil
	}
	return nil, errors.New("the connection begins with something else")
}
