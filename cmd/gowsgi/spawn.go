package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/control"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/supervisor"
	"github.com/gowsgi/gowsgi/pyhost/template"
)

// workerProcess is a worker as the master sees it.
type workerProcess struct {
	number  int
	process *os.Process
	control *control.Conn
	ready   chan error
	recycle chan string
	closed  chan struct{}
	exited  chan struct{}
	exit    supervisor.Exit
	signal  func() syscall.Signal // what the master got last
	serving func(*workerProcess, workerInfo)

	dev    *devMaster // nil: it is no development server
	asked  question   // by that
	killed atomic.Bool

	told, shut sync.Once
}

// spawn starts a worker process: forked from the template where there is one, else this program once more. What it runs on comes by a socket,
// never by its arguments or environment, which the app sees and passes on.
func (m *master) spawn(number int) (supervisor.Process, error) {
	if number >= mostWorkers { // those that drain have numbers too
		return nil, fmt.Errorf("there are %d workers already", mostWorkers-1)
	}
	t := m.template.Load()
	if m.dev != nil && hasEnded(t) { // a developer waits
		t = nil
	}
	w, err := m.spawnFrom(t, number)
	switch {
	case err == nil:
		return w, nil
	case m.ending.Err() != nil, m.dev == nil && t != nil && hasEnded(t) && m.kept.Load() == t: // there will be another
		return nil, supervisor.ErrNotNow
	case m.dev == nil || t == nil:
		return nil, err
	}
	if w, err = m.spawnFrom(nil, number); err != nil { // the template was ending just then
		return nil, err
	}
	return w, nil
}

// spawnFrom starts a worker process with the listeners and one end of a socket of its own: of a template that ended, a process may be left
// that got them as well, and it must see that nobody talks to it.
func (m *master) spawnFrom(t *template.Template, number int) (*workerProcess, error) {
	settings := *m.settings.Load()
	settings.Worker = number
	if settings.TLS != nil {
		withTickets := *settings.TLS
		withTickets.Tickets = m.tickets.Now()
		settings.TLS = &withTickets
	}
	if settings.Dev != nil {
		settings.Dev = m.dev.next()
	}
	data, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer syscall.Close(theirs)
	stdin := 0 // in a development server a debugger reads it
	if m.dev == nil {
		if stdin, err = syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err != nil {
			_ = ours.Close()
			return nil, err
		}
		defer syscall.Close(stdin)
	}
	// Numbers, not files: (*os.File).Fd would make the listeners block, in all processes that share them.
	files := []uintptr{uintptr(stdin), 1, 2, uintptr(theirs), uintptr(m.handover[0]), uintptr(m.handover[1]), uintptr(m.loadsFD)}
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.ending.Err() != nil { // there may be no listeners any more
		_ = ours.Close()
		return nil, supervisor.ErrStopping
	}
	for _, l := range m.listeners {
		files = append(files, l.fd())
	}
	var process *os.Process
	err = m.children.Start(func() (pid int, err error) {
		if t != nil {
			pid, err = fork(m.ending, t, number, files[controlFD:])
		} else {
			pid, _, err = syscall.StartProcess("/proc/self/exe", []string{workerName + strconv.Itoa(number)}, &syscall.ProcAttr{
				Env: os.Environ(), Files: files,
				Sys: &syscall.SysProcAttr{Setpgid: true}, // a terminal's Ctrl-C is the master's
			})
			err = os.NewSyscallError("fork/exec", err)
		}
		if err == nil {
			process, err = os.FindProcess(pid)
		}
		return pid, err
	})
	if err != nil {
		_ = ours.Close()
		return nil, err
	}
	w := m.take(number, process, control.New(ours))
	go func() { // it may not read for a while
		if err := w.control.Send(control.Message{Kind: control.Settings, Data: data}); err != nil {
			w.becomes(fmt.Errorf("its settings can't be sent: %w", err))
		}
	}()
	return w, nil
}

// take makes a worker of a process that runs, and follows what it says and how it ends.
func (m *master) take(number int, process *os.Process, conn *control.Conn) *workerProcess {
	w := &workerProcess{
		number: number, process: process, control: conn, ready: make(chan error, 1), recycle: make(chan string, 1),
		closed: make(chan struct{}), exited: make(chan struct{}), signal: m.lastSignal, serving: m.serving,
		dev: m.dev,
	}
	m.dev.begins(w)
	heard := make(chan struct{})
	go func() {
		w.listen()
		close(heard)
	}()
	go func() {
		state, err := process.Wait()
		m.children.Forget(process.Pid)
		m.loads[number].Store(0)
		select {
		case <-heard: // its last words
		case <-time.After(time.Second): // a process that it left behind may hold the socket
		}
		w.exit = supervisor.Exit{Code: -1, Text: "its end was not seen"}
		if err == nil {
			w.exit = supervisor.Exit{Code: state.ExitCode(), Text: state.String()}
		}
		_ = w.control.Close()
		m.dev.ended(w)
		close(w.exited)
	}()
	return w
}

// becomes tells once whether the worker serves.
func (w *workerProcess) becomes(err error) { w.told.Do(func() { w.ready <- err }) }

func (w *workerProcess) listen() {
	for {
		m, err := w.control.Receive()
		if err != nil {
			return
		}
		switch m.Kind {
		case control.Ready:
			if w.killed.Load() { // it is gone
				continue
			}
			var info workerInfo
			_ = json.Unmarshal(m.Data, &info)
			w.serving(w, info)
			w.becomes(nil)
		case control.Failed:
			text := strings.TrimSuffix(strings.TrimPrefix(m.Text, "gowsgi: "), "\n")
			w.dev.failed(text)
			w.becomes(&codeError{m.Code, errors.New(text)})
		case control.Recycle:
			select {
			case w.recycle <- m.Text:
			default:
			}
		case control.Meaning:
			w.asked.answered(m)
		case control.Doubt:
			w.dev.doubt()
		case control.Closed:
			w.shut.Do(func() { close(w.closed) })
		}
	}
}

func (w *workerProcess) Pid() int                { return w.process.Pid }
func (w *workerProcess) Ready() <-chan error     { return w.ready }
func (w *workerProcess) Recycle() <-chan string  { return w.recycle }
func (w *workerProcess) Closed() <-chan struct{} { return w.closed }
func (w *workerProcess) Exited() <-chan struct{} { return w.exited }
func (w *workerProcess) Exit() supervisor.Exit   { return w.exit }

func (w *workerProcess) Drain(timeout time.Duration) {
	go func() {
		_ = w.control.Send(control.Message{Kind: control.Drain, Timeout: timeout, Signal: int(w.signal())})
	}()
}

// Kill ends the worker at once. What the app started goes on.
func (w *workerProcess) Kill() {
	w.killed.Store(true)
	_ = w.process.Kill()
}

// tell sends an order. An error means that the worker is about to be gone.
func (w *workerProcess) tell(m control.Message) {
	go func() { _ = w.control.Send(m) }()
}

// socketPair gives two connected sockets, closed on exec; the second is to be given to a process.
func socketPair() (net.Conn, int, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, -1, os.NewSyscallError("socketpair", err)
	}
	f := os.NewFile(uintptr(fds[0]), "control")
	defer f.Close()
	ours, err := net.FileConn(f)
	if err != nil {
		_ = syscall.Close(fds[1])
		return nil, -1, err
	}
	return ours, fds[1], nil
}
