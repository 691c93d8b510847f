package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/acme"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/control"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/logfile"
	"github.com/gowsgi/gowsgi/gateway"
	"github.com/gowsgi/gowsgi/pyhost"
	"github.com/gowsgi/gowsgi/pyhost/template"
)

// workerName begins the name of a worker process, with which it is started.
const workerName = "gowsgi: worker "

// isWorker says whether this process was started as a worker.
func isWorker() bool { return strings.HasPrefix(os.Args[0], workerName) }

// worker is a process that runs the apps.
type worker struct {
	s        workerSettings
	out      io.Writer // standard error
	log      *slog.Logger
	logFile  *logfile.Writer           // nil where the log goes to standard error
	access   atomic.Pointer[accessLog] // nil: there is none
	control  *control.Conn
	handover *handover
	balancer *balancer
	keep     atomic.Bool            // idle connections stay here, and are closed
	held     atomic.Int64           // until that time, in nanoseconds since 1970, the GIL is taken for held
	orders   <-chan control.Message // closed when the master is gone
	signals  <-chan os.Signal
	failed   chan error                  // what Serve of each listener returned
	host     atomic.Pointer[pyhost.Host] // nil while the worker starts
	server   *gateway.Server
	static   foundStatic
	acme     *acme.Certificates // nil without --acme
	tls      *tls.Config        // nil where nobody speaks it
	dev      *devWorker         // nil: it is no development server
}

// runWorker is a worker process but for the exit.
func runWorker(log io.Writer) int {
	takeArgs()
	_ = os.WriteFile("/proc/self/comm", []byte("gowsgi"), 0) // it is "exe" by its way of starting
	w := &worker{out: log, log: newLogger(log), signals: takeSignals()}
	raiseGOMAXPROCS()
	var listeners []net.Listener
	err := w.connect()
	if err == nil {
		listeners, err = w.inherit()
	}
	if err == errEnd {
		return exitFine
	}
	if err != nil {
		w.log.Error("a worker that no master talks to", "error", err)
		return exitOther
	}
	w.failed = make(chan error, len(listeners))
	err = w.unlessStopped(func() error { return w.start(listeners) })
	if err == nil {
		err = w.serve(listeners)
	}
	code, text := exitCode(err)
	if code != exitFine && w.server == nil { // told to end, it may still be starting
		_ = w.control.Send(control.Message{Kind: control.Failed, Code: code, Text: text})
	}
	return code
}

var errEnd = errors.New("told to end")

// connect takes the settings from the master.
func (w *worker) connect() error {
	syscall.CloseOnExec(controlFD)
	var err error
	if w.control, err = control.FromFile(os.NewFile(controlFD, "control")); err != nil {
		return err
	}
	m, err := w.control.Receive()
	switch {
	case err == io.EOF: // the master ended, or gave it up
		return errEnd
	case err != nil:
		return err
	case m.Kind != control.Settings: // told to end before it began
		return errEnd
	}
	if err := json.Unmarshal(m.Data, &w.s); err != nil {
		return err
	}
	w.dev = newDevWorker(w)
	w.openLog()
	orders := make(chan control.Message)
	w.orders = orders
	go func() {
		defer close(orders)
		for {
			m, err := w.control.Receive()
			if err != nil {
				return
			}
			switch m.Kind {
			case control.Reopen:
				w.reopenLog()
				go w.access.Load().reopen(w.log)
			case control.Stacks:
				go w.writeStacks()
			case control.Changed, control.Pages:
				go w.dev.order(m)
			default:
				orders <- m
			}
		}
	}()
	return nil
}

func (w *worker) openLog() {
	if w.s.LogFile != "" {
		f, err := logfile.Open(w.s.LogFile, logfile.RedirectStdio())
		if err != nil {
			w.log.Error("the log goes to where the master's does", "error", err)
		} else {
			w.logFile, w.log = f, newLogger(f)
		}
	}
	if w.dev == nil {
		w.log = w.log.With("worker", w.s.Worker)
	}
}

func (w *worker) reopenLog() {
	if w.logFile != nil {
		if err := w.logFile.Reopen(); err != nil {
			w.log.Error("the log goes on in the old file", "error", err)
		}
	}
}

func (w *worker) inherit() ([]net.Listener, error) {
	var err error
	if w.handover, err = openHandover(handoverOutFD, handoverInFD); err != nil {
		return nil, err
	}
	syscall.CloseOnExec(loadsFD)
	shared, err := mapLoads(loadsFD)
	if err != nil {
		return nil, err
	}
	_ = syscall.Close(loadsFD)
	w.balancer = &balancer{loads: shared, me: w.s.Worker, full: w.isHeld}
	var all []net.Listener
	for i := range w.s.Listeners {
		ln, err := takeListener(firstListener + i)
		if err != nil {
			return nil, err
		}
		if ln, ok := ln.(*net.UnixListener); ok {
			ln.SetUnlinkOnClose(false) // its path is the master's
		}
		all = append(all, ln)
	}
	return all, nil
}

// start loads Python and the apps, starts the Python threads and tries whether they answer.
func (w *worker) start(listeners []net.Listener) error {
	s := &w.s
	if !template.Adopted() { // else the template went there, and the app may have gone on
		if err := os.Chdir(s.Dir); err != nil {
			return err
		}
	}
	host, err := pyhost.Open(pyhost.Options{
		Python: s.Python, Args: s.PythonArgs, Dir: s.Dir, Threads: s.Threads, Logger: w.log, SpoolDir: s.SpoolDir, SpoolLimit: s.SpoolLimit,
		Multiprocess: s.Multiprocess, Signals: []syscall.Signal{syscall.SIGINT, syscall.SIGTERM},
		OnStuck: w.onStuck, GILTimeout: s.GILTimeout, OnGILHeld: w.onGILHeld, Modules: w.dev.modules(),
	})
	if err != nil {
		return &codeError{exitPython, err}
	}
	// The apps may fork while they are imported.
	host.OwnFD(uintptr(w.control.FD()), true)
	own(host, w.handover.in)
	own(host, w.handover.out)
	for _, ln := range listeners {
		own(host, ln)
	}
	if err := w.dev.configure(host); err != nil {
		return err
	}
	mounts, err := loadApps(host, s.Apps)
	if err != nil {
		return err
	}
	var app *pyhost.AppError // of a postfork function
	if err := host.Start(); errors.As(err, &app) {
		return &codeError{exitApp, err}
	} else if err != nil {
		return &codeError{exitPython, err}
	}
	w.static = s.Static.find(host, s.Apps)
	files, err := w.static.mounts(s.Static.Follow, s.Dev != nil)
	if err != nil {
		return err
	}
	mounts = append(mounts, files...)
	mounts = append(mounts, w.loadACME()...)
	if err := w.loadTLS(); err != nil {
		return err
	}
	server := &gateway.Server{
		App: host, Mounts: mounts, Logger: w.log,
		HeaderTimeout: s.HeaderTimeout, BodyTimeout: s.BodyTimeout, WriteTimeout: s.WriteTimeout, IdleTimeout: s.IdleTimeout,
		MaxBodySize: s.MaxBodySize, StreamInput: s.StreamInput, SpoolDir: s.SpoolDir,
		QueueTimeout: s.QueueTimeout, Backlog: s.Backlog,
		HandOver: func(fd int) bool { return !w.keep.Load() && w.handover.send(fd) == nil },
	}
	s.Limits.set(server)
	s.Proxies.set(server)
	if err := s.Responses.set(server); err != nil {
		return err
	}
	if s.AccessLog != "" {
		access, err := openAccessLog(s, w.log)
		if err != nil {
			return err
		}
		w.access.Store(access)
	}
	server.AccessLog, server.RequestIDs = w.access.Load().log(), s.RequestIDs
	if err := w.dev.mount(host, server); err != nil {
		return err
	}
	if s.Probe != "" {
		if err := probe(server, s.Probe); err != nil {
			return &codeError{exitApp, err}
		}
	}
	server.AcceptGate = w.balancer.gate
	w.server, w.balancer.server = server, server
	w.host.Store(host)
	return nil
}

// serve serves the listeners until the worker is told to end, or ends by itself.
func (w *worker) serve(listeners []net.Listener) error {
	if w.dev != nil { // it is told when
		if err := w.tellReady(); err != nil {
			return err
		}
		for m := range w.orders {
			if m.Kind == control.Serve {
				break
			}
			if m.Kind == control.Drain {
				return &codeError{code: exitFine}
			}
		}
	}
	for i, ln := range listeners {
		l := w.listener(ln, w.s.Listeners[i])
		go func() { w.failed <- w.server.Serve(l) }()
	}
	w.handover.start(w.server.Adopt)
	if w.dev == nil {
		if err := w.tellReady(); err != nil {
			return err
		}
	}
	go w.watchLimits()
	return w.wait()
}

func (w *worker) tellReady() error {
	info := w.host.Load().Info()
	data, err := json.Marshal(workerInfo{info.Version, info.Prefix, info.FreeThreaded, w.static, w.dev.description()})
	if err != nil {
		return err
	}
	if err := w.control.Send(control.Message{Kind: control.Ready, Data: data}); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("the master can't be told that worker %d serves: %w", w.s.Worker, err)
	}
	return nil
}

// own has a listener or connection closed in the processes that the app forks.
func own(host *pyhost.Host, socket any) {
	if sc, ok := socket.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { host.OwnFD(fd, true) })
		}
	}
}

// raiseGOMAXPROCS gives Go's scheduler four threads at least. With one or two, each call into C that takes longer than 20 us costs two
// thread switches, which doubles the cost of a small request.
func raiseGOMAXPROCS() {
	const least = 4
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < least {
		runtime.GOMAXPROCS(least)
	}
}
