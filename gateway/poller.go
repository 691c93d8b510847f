package gateway

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/pyhost"
)

// poller waits for all connections of a server with one epoll instance, in one goroutine, the loop, which also serves simple requests
// itself: those whose header section and body come in one read. A goroutine for each of these would cost two switches, and the stack that an
// idle connection holds.
type poller struct {
	s     *Server
	epoll int
	file  *os.File // of epoll, in Go's own poller: where the loop waits
	conns atomic.Pointer[[]atomic.Pointer[conn]]
	ended bool    // guarded by Server.mu
	in    *buffer // what the loop reads into
	q     request
	woke  time.Duration // see now; 0: not looked yet

	events  *pyhost.EventLoan // the app's, where it lends them
	eventFD int               // of events; else -1
}

// eventLender is an app whose news the loop can collect itself: *pyhost.Host.
type eventLender interface {
	LendEvents() *pyhost.EventLoan
}

// loopBuffer is how many bytes the loop reads at once.
const loopBuffer = 16 << 10

func newPoller(s *Server) (*poller, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", os.NewSyscallError("epoll_create1", err))
	}
	if err := syscall.SetNonblock(epoll, true); err != nil { // for os.NewFile
		_ = syscall.Close(epoll)
		return nil, fmt.Errorf("gateway: %w", os.NewSyscallError("fcntl", err))
	}
	p := &poller{s: s, epoll: epoll, file: os.NewFile(uintptr(epoll), "epoll"), in: getBuffer(loopBuffer)}
	p.conns.Store(new([]atomic.Pointer[conn]))
	s.ownFD(epoll, true)
	p.borrowEvents()
	return p, nil
}

// borrowEvents makes the loop collect the app's events where it can. Without that they come on another goroutine.
func (p *poller) borrowEvents() {
	p.eventFD = -1
	app, ok := p.s.App.(eventLender)
	if !ok {
		return
	}
	events := app.LendEvents()
	if events == nil {
		return
	}
	fd := events.FD()
	e := syscall.EpollEvent{Events: syscall.EPOLLIN | epollET, Fd: int32(fd)}
	if err := syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, fd, &e); err != nil {
		events.Return()
		return
	}
	p.events, p.eventFD = events, fd
	events.Collect() // what came before the descriptor was watched
}

const epollET = 1 << 31 // syscall.EPOLLET is negative

// add begins to watch a connection. s.mu is held.
func (p *poller) add(c *conn) error {
	conns := *p.conns.Load()
	if c.sock >= len(conns) {
		grown := make([]atomic.Pointer[conn], max(2*len(conns), c.sock+1, 64))
		for i := range conns {
			grown[i].Store(conns[i].Load())
		}
		p.conns.Store(&grown)
		conns = grown
	}
	conns[c.sock].Store(c)
	const events = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | epollET
	e := syscall.EpollEvent{Events: events, Fd: int32(c.sock)}
	if err := syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, c.sock, &e); err != nil {
		conns[c.sock].Store(nil)
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// remove ends the watch. s.mu is held. Without it a process that the app forked, and that holds a copy of the descriptor, would keep it.
func (p *poller) remove(c *conn) {
	if p.ended {
		return
	}
	(*p.conns.Load())[c.sock].Store(nil)
	_ = syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_DEL, c.sock, &syscall.EpollEvent{})
}

// run is the loop, until close.
func (p *poller) run() {
	raw, err := p.file.SyscallConn()
	if err != nil {
		panic(err) // only where the file is closed
	}
	var events [128]syscall.EpollEvent
	_ = raw.Read(func(uintptr) bool {
		p.asleep(false)
		for {
			n, errno := rawEpollWait(p.epoll, events[:])
			if n == 0 {
				p.asleep(errno == 0)
				return errno != 0
			}
			p.woke = 0
			conns := *p.conns.Load()
			for i := range events[:n] {
				if int(events[i].Fd) == p.eventFD {
					p.events.Collect()
				} else if c := conns[events[i].Fd].Load(); c != nil {
					c.polled(p, events[i].Events)
				}
			}
		}
	})
}

// now is the access log's clock. The loop looks at it once for all that it was woken for; a nil poller each time.
func (p *poller) now() time.Duration {
	if p == nil {
		return accesslog.Now()
	}
	if p.woke == 0 {
		p.woke = accesslog.Now()
	}
	return p.woke
}

func (p *poller) asleep(asleep bool) {
	if p.events != nil {
		p.events.Asleep(asleep)
	}
}

// close ends the loop. s.mu is held.
func (p *poller) close() {
	p.ended = true
	if p.events != nil {
		_ = syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_DEL, p.eventFD, &syscall.EpollEvent{})
		p.events.Return()
	}
	p.s.ownFD(p.epoll, false)
	_ = p.file.Close()
}
