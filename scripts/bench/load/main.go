// Command load holds many idle or slow connections on a server while something else measures it. It opens them, prints one line of JSON
// when all have had their turn, holds them until its standard input ends, and prints a second line:
//
//	{"wanted": 200, "opened": 200}
//	{"live": 200, "served": 200}
//
// live counts the connections that the server has neither closed nor reset, served those on which it has sent at least one byte.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	openers     = 64               // connections being opened at a time
	openTimeout = 5 * time.Second  // for one connection, and in mode idle for its one request
	openLimit   = 20 * time.Second // for all; what is not open by then is not
	segment     = 1460 // bytes, as over Ethernet: with loopback's own 64 KiB the server's kernel takes a whole MiB in at once
	window      = 16 << 10
)

type holder struct {
	mode, addr, path string
	bodyBytes        int
	piece            int // bytes that a slow client moves
	every            time.Duration
	opened           atomic.Int64
	live, served     atomic.Int64
}

func main() {
	log.SetFlags(0)
	h := &holder{}
	flag.StringVar(&h.mode, "mode", "idle", "idle, read, upload or headers")
	flag.StringVar(&h.addr, "addr", "", "host:port of the server")
	flag.StringVar(&h.path, "path", "/", "the path asked for")
	flag.IntVar(&h.bodyBytes, "body", 1<<20, "bytes of an upload")
	flag.IntVar(&h.piece, "piece", 1024, "bytes that a slow client moves at a time")
	flag.DurationVar(&h.every, "every", 100*time.Millisecond, "how often it does")
	count := flag.Int("n", 200, "connections")
	flag.Parse()
	if err := raiseFileLimit(uint64(*count) + 64); err != nil {
		log.Fatal("load: ", err)
	}
	h.open(*count)
	fmt.Printf("{\"wanted\": %d, \"opened\": %d}\n", *count, h.opened.Load())
	io.Copy(io.Discard, os.Stdin)
	fmt.Printf("{\"live\": %d, \"served\": %d}\n", h.live.Load(), h.served.Load())
}

// raiseFileLimit makes room for n open files, or says what stands in the way.
func raiseFileLimit(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < n {
		return fmt.Errorf("%d open files are needed and %d allowed: raise the hard limit (ulimit -Hn)", n, limit.Max)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// open opens n connections and leaves each with a goroutine of its own.
func (h *holder) open(n int) {
	end := time.Now().Add(openLimit)
	turns := make(chan struct{}, n)
	for range n {
		turns <- struct{}{}
	}
	close(turns)
	var group sync.WaitGroup
	for range openers {
		group.Go(func() {
			for range turns {
				if time.Now().After(end) {
					return
				}
				h.openOne()
			}
		})
	}
	group.Wait()
}

func (h *holder) openOne() {
	dialer := net.Dialer{Timeout: openTimeout}
	if h.mode != "idle" {
		dialer.Control = narrow
	}
	conn, err := dialer.Dial("tcp", h.addr)
	if err != nil {
		return
	}
	if h.mode == "idle" {
		conn.SetDeadline(time.Now().Add(openTimeout))
		if err := h.once(conn); err != nil {
			conn.Close()
			return
		}
		conn.SetDeadline(time.Time{})
	}
	h.opened.Add(1)
	h.live.Add(1)
	go func() {
		defer conn.Close()
		defer h.live.Add(-1)
		switch h.mode {
		case "idle":
			conn.Read(make([]byte, 1)) // returns when the server closes it
		case "read":
			h.readSlowly(conn)
		case "upload":
			h.uploadSlowly(conn)
		case "headers":
			h.askSlowly(conn)
		}
	}()
}

// narrow gives a connection small segments and a small window before it is opened.
func narrow(_, _ string, raw syscall.RawConn) error {
	var err error
	ctrl := raw.Control(func(fd uintptr) {
		err = errors.Join(syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, segment),
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, window))
	})
	return errors.Join(ctrl, err)
}

func (h *holder) readSlowly(conn net.Conn) {
	piece := make([]byte, h.piece)
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", h.path, h.addr); err != nil {
		return
	}
	for first := true; ; first = false {
		if _, err := conn.Read(piece); err != nil {
			return
		}
		if first {
			h.served.Add(1)
		}
		time.Sleep(h.every)
	}
}

// askSlowly sends a header that does not end.
func (h *holder) askSlowly(conn net.Conn) {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Slow: ", h.path, h.addr); err != nil {
		return
	}
	for piece := bytes.Repeat([]byte("x"), h.piece); ; time.Sleep(h.every) {
		if _, err := conn.Write(piece); err != nil {
			return
		}
	}
}

func (h *holder) uploadSlowly(conn net.Conn) {
	piece := make([]byte, h.piece)
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", h.path, h.addr, h.bodyBytes); err != nil {
		return
	}
	for sent := 0; sent < h.bodyBytes; sent += h.piece {
		if _, err := conn.Write(piece); err != nil {
			return
		}
		time.Sleep(h.every)
	}
	if _, err := conn.Read(piece); err == nil {
		h.served.Add(1)
		conn.Read(piece)
	}
}
