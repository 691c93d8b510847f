//go:build cgo

package pyhost

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func init() {
	childActions["lend"] = func(h *Host) error {
		loan := h.LendEvents()
		if loan == nil || h.LendEvents() != nil {
			return errors.New("the events are lent to one loop at a time")
		}
		epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
		if err != nil {
			return err
		}
		event := syscall.EpollEvent{Events: syscall.EPOLLIN | 1<<31, Fd: int32(loan.FD())}
		if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, loan.FD(), &event); err != nil {
			return err
		}
		loan.Collect()
		for i := range 5 {
			r := newLentRequest()
			if err := r.submit(h); err != nil {
				return err
			}
			for !r.done() {
				before := r.calls.Load()
				if n, err := syscall.EpollWait(epoll, make([]syscall.EpollEvent, 1), 10000); n != 1 || err != nil {
					return fmt.Errorf("request %d: FD did not become readable: %v", i, err)
				}
				if r.calls.Load() != before {
					return fmt.Errorf("request %d: a sink was called though the loop did not collect", i)
				}
				loan.Collect()
			}
		}
		loan.Asleep(true)
		delivered := 0
		for range 20 {
			r := newLentRequest()
			if err := r.submit(h); err != nil {
				return err
			}
			collected := false
			for deadline := time.Now().Add(10 * time.Second); !r.done(); {
				if time.Now().After(deadline) {
					return errors.New("asleep: nobody called the sink, nor did FD become readable")
				}
				if n, _ := syscall.EpollWait(epoll, make([]syscall.EpollEvent, 1), 1); n == 1 {
					collected = true
					loan.Collect()
				}
			}
			if !collected {
				delivered++
			}
		}
		if delivered == 0 {
			return errors.New("asleep: no Python thread ever called a sink")
		}
		loan.Return()
		r := newLentRequest()
		if err := r.submit(h); err != nil {
			return err
		}
		if err := r.wait(); err != nil {
			return fmt.Errorf("after the return: %w", err)
		}
		if again := h.LendEvents(); again == nil || again.FD() != loan.FD() {
			return errors.New("what was returned can't be lent again")
		}
		return nil
	}
}

// lentRequest is a sink that counts.
type lentRequest struct {
	calls atomic.Int32
	ended chan struct{}
	out   Output
	chunk func(Chunk) // nil: nobody wants them
}

func newLentRequest() *lentRequest { return &lentRequest{ended: make(chan struct{})} }

func (r *lentRequest) submit(h *Host) error {
	rec := AppendPair(AppendPair(nil, "REQUEST_METHOD", "GET"), "PATH_INFO", "/")
	return h.NewExchange().Submit(&Request{Environ: rec}, r)
}

func (r *lentRequest) ExchangeReady(x Exchange) {
	r.calls.Add(1)
	if r.done() {
		return
	}
	r.out.Chunks = r.out.Chunks[:0]
	x.Take(&r.out)
	for _, c := range r.out.Chunks {
		if r.chunk != nil {
			r.chunk(c)
		}
	}
	x.Sent(len(r.out.Chunks))
	if r.out.Done {
		x.Release()
		close(r.ended)
	}
}

func (r *lentRequest) done() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

func (r *lentRequest) wait() error {
	select {
	case <-r.ended:
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("nobody called the sink")
	}
}

func TestWhoBorrowsTheEventsCollectsThemAndNobodyElseWhileItIsAwake(t *testing.T) {
	dir := write(t, "plain.py", appSource("app", "x"))
	forEachPython(t, func(t *testing.T, p Python) {
		if r := (childJob{Python: p, Dir: dir, Apps: []string{"plain"}, Action: "lend"}).start(t); r.code != 0 {
			t.Errorf("%+v", r)
		}
	})
}
