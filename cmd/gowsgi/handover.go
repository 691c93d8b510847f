package main

import (
	"net"
	"os"
	"syscall"
	"time"
)

// handover is how idle connections go from a worker that drains to one that serves: a pair of sockets that all workers share. What a
// worker sends, some other one receives, whenever it comes to it; no request that a client sends meanwhile is lost, since the kernel keeps
// it with the connection.
type handover struct {
	out, in  *net.UnixConn
	received chan struct{} // closed when receive has ended
}

// handOverTime is how long a connection may wait for a place in the sockets' queue. Then it is closed, as without all this.
const handOverTime = 500 * time.Millisecond

// newHandover makes the pair, for the master.
func newHandover() (out, in int, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, -1, os.NewSyscallError("socketpair", err)
	}
	return fds[0], fds[1], nil
}

// openHandover takes over the descriptors that the master gave.
func openHandover(out, in int) (*handover, error) {
	h := &handover{received: make(chan struct{})}
	for _, end := range []struct {
		fd   int
		conn **net.UnixConn
	}{{out, &h.out}, {in, &h.in}} {
		syscall.CloseOnExec(end.fd)
		f := os.NewFile(uintptr(end.fd), "handover")
		c, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		*end.conn = c.(*net.UnixConn)
	}
	return h, nil
}

// send gives a copy of a connection away.
func (h *handover) send(fd int) error {
	_ = h.out.SetWriteDeadline(time.Now().Add(handOverTime))
	_, _, err := h.out.WriteMsgUnix([]byte{0}, syscall.UnixRights(fd), nil)
	return err
}

// start calls receive, once.
func (h *handover) start(adopt func(fd int) error) {
	go func() {
		defer close(h.received)
		_ = h.receive(adopt)
	}()
}

// receive calls adopt with each connection that another worker gives away, until stop.
func (h *handover) receive(adopt func(fd int) error) error {
	for {
		var data [1]byte
		oob := make([]byte, syscall.CmsgSpace(4))
		_, n, _, _, err := h.in.ReadMsgUnix(data[:], oob)
		if err != nil {
			return err
		}
		messages, err := syscall.ParseSocketControlMessage(oob[:n])
		if err != nil || len(messages) == 0 {
			continue // the descriptor did not fit into this process's table
		}
		fds, err := syscall.ParseUnixRights(&messages[0])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			_ = adopt(fd) // one that can't be served is closed
		}
	}
}

// stop ends receive, and returns when it has.
func (h *handover) stop() {
	_ = h.in.SetReadDeadline(time.Unix(1, 0))
	<-h.received
}
