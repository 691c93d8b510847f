// Package control is what the master and its workers say to each other, and commands such as "gowsgi reload" to the master: messages in JSON
// over a unix socket.
package control

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// What a message is about.
const (
	// From the master to a worker.
	Settings = "settings" // the first message; Data
	Drain    = "drain"    // finish what is in hand within Timeout and exit; Signal is what ends the server, 0 where it goes on
	Stacks   = "stacks"   // write the stack of every Python thread to the log
	Reopen   = "reopen"   // open the log file anew
	Serve    = "serve"    // of a development server: take connections; a worker that is given up before has none
	Changed  = "changed"  // of a development server: files were changed; Code is the number of the question, Data has their paths
	Pages    = "pages"    // of a development server: open pages are to show what changed; Data has what that means

	// From a worker to the master.
	Ready   = "ready"   // it serves; Data has what it runs on
	Failed  = "failed"  // it could not start, and exits; Code and Text
	Recycle = "recycle" // it should be replaced; Text says why
	Closed  = "closed"  // it drains, and takes no new connections any more
	Meaning = "meaning" // the answer to Changed; Code as there, Data
	Doubt   = "doubt"   // of a development server: the app does not load, and will be shown so unless it is being changed

	// From a command to the master, and its answer.
	Reload = "reload"
	Result = "result" // Code and Text
)

// Message is one message. Which fields it has, its kind says.
type Message struct {
	Kind    string
	Code    int             `json:",omitempty"`
	Text    string          `json:",omitempty"`
	Signal  int             `json:",omitempty"`
	Timeout time.Duration   `json:",omitempty"`
	Data    json.RawMessage `json:",omitempty"`
}

// Conn is one end. Send may be called by any goroutine, Receive by one at a time.
type Conn struct {
	c   net.Conn
	in  io.LimitedReader
	dec *json.Decoder
	mu  sync.Mutex
	enc *json.Encoder
}

// mostMessage is how many bytes a message may have: the other end may have gone mad, and the master must not.
const mostMessage = 16 << 20

// New takes over a connected socket.
func New(c net.Conn) *Conn {
	conn := &Conn{c: c, in: io.LimitedReader{R: c}, enc: json.NewEncoder(c)}
	conn.dec = json.NewDecoder(&conn.in)
	return conn
}

// FromFile takes over a descriptor of a connected unix socket; f is closed.
func FromFile(f *os.File) (*Conn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return New(c), nil
}

// sendTimeout bounds Send: the other end may be stopped, or gone mad.
const sendTimeout = 5 * time.Second

// Send writes a message, within 5 s or not at all.
func (c *Conn) Send(m Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.c.SetWriteDeadline(time.Now().Add(sendTimeout))
	return c.enc.Encode(m)
}

// Receive waits for a message. io.EOF where the other end has closed or died; another error where it sent none, or one of more than 16 MiB,
// after which there is no other.
func (c *Conn) Receive() (Message, error) {
	var m Message
	c.in.N = mostMessage
	return m, c.dec.Decode(&m)
}

// FD is the descriptor, for as long as the connection is open; -1 where there is none.
func (c *Conn) FD() int {
	fd := -1
	if sc, ok := c.c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(n uintptr) { fd = int(n) })
		}
	}
	return fd
}

// Close ends the connection, which the other end reads as its end.
func (c *Conn) Close() error { return c.c.Close() }
