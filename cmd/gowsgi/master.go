package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/certs"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/control"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/logfile"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/pidfile"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/reaper"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/supervisor"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/systemd"
	"github.com/gowsgi/gowsgi/pyhost/template"
)

// master is the process that holds the listeners and looks after the workers. It holds no Python.
type master struct {
	c       *serveCmd
	line    *commandLine
	log     *slog.Logger
	later   *laterWriter
	logFile *logfile.Writer // nil where the log goes to standard error
	logPath string
	// accessPath is the file of the access log, which only workers write; "": there is none.
	accessPath string
	pidFile    *pidfile.File
	systemd    *systemd.Notifier
	children   *reaper.Children
	commands   *inherited    // the control socket
	before     *upgradeState // nil where this program did not take another's place
	handover   [2]int        // descriptors
	loads      loads
	loadsFD    int
	listeners  []*inherited
	settings   atomic.Pointer[workerSettings]    // for workers to come
	template   atomic.Pointer[template.Template] // nil without --preload
	kept       atomic.Pointer[template.Template] // that keepTemplate has replaced when it ends
	collects   sync.Once
	pool       *supervisor.Pool
	signals    chan os.Signal
	last       atomic.Int64 // the signal that ends the server
	reloading  sync.Mutex   // one at a time
	announce   sync.Once
	said       sync.Map // lines of the log that each worker has reason for
	certs      certifying
	tls        *certs.Settings // as read last; nil: nobody speaks it
	tickets    certs.TicketKeeper
	ending     context.Context // over when a signal ends the server
	end        func()
	closing    sync.RWMutex // held for reading while a worker is given the listeners
	dev        *devMaster   // nil: it is no development server
}

// inherited is a listener that workers inherit. The master never accepts.
type inherited struct {
	net.Listener
	address string      // as --bind has it, but with the port that was found for 0
	file    *socketFile // its path, where this server made that
	words   bindWords
}

// Close removes the socket's file too.
func (l *inherited) Close() error {
	l.file.remove()
	return l.Listener.Close()
}

// fd is its descriptor, for as long as it is open.
func (l *inherited) fd() (fd uintptr) {
	if raw, err := l.Listener.(syscall.Conn).SyscallConn(); err == nil {
		_ = raw.Control(func(n uintptr) { fd = n })
	}
	return fd
}

// masterSignals are what handleSignals knows.
var masterSignals = []os.Signal{
	syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGPWR,
}

// run serves until a signal ends it.
func (m *master) run() error {
	m.pool = supervisor.New(supervisor.Options{
		Workers: m.c.Workers, Start: m.spawn, StartTimeout: m.c.StartTimeout, GracefulTimeout: m.c.GracefulTimeout,
		Persist: m.dev != nil, Serving: m.dev.admit, Logger: m.log,
	})
	if m.before != nil {
		if err := m.adopt(m.before); err != nil {
			m.log.Error("workers of the program before this one are lost", "error", err)
		}
		go m.finishUpgrade()
	}
	go m.handleSignals()
	go m.answerCommands()
	m.dev.begin()
	watching, stop := context.WithCancel(context.Background())
	defer stop()
	go m.systemd.Watch(watching, func() bool { return m.pool.Workers() > 0 })
	if reaper.Adopts() {
		m.collectOrphans()
	}
	go m.keepTemplate(m.template.Load())
	code, err := m.pool.Run()
	var failed *codeError
	switch {
	case errors.As(err, &failed):
		return failed
	case err != nil:
		return err
	}
	return &codeError{code: code}
}

// collectOrphans collects the processes that end as the master's children though it did not start them.
func (m *master) collectOrphans() {
	m.collects.Do(func() {
		go func() {
			if err := reaper.Run(context.Background(), m.children.Has); err != nil {
				m.log.Error("orphans are not collected any more", "error", err)
			}
		}()
	})
}

// handleSignals does what signals ask for, as gunicorn's users know them: there, too, an interrupt lets threads finish what they do.
func (m *master) handleSignals() {
	for sig := range m.signals {
		switch sig {
		case syscall.SIGTERM, syscall.SIGINT: // graceful
			m.stop(sig, m.dev != nil)
		case syscall.SIGQUIT: // quick
			m.stop(sig, true)
		case syscall.SIGHUP:
			if m.dev != nil { // its window was closed
				m.stop(sig, true)
				continue
			}
			go func() { _ = m.reload() }()
		case syscall.SIGTTIN:
			m.log.Info("one worker more", "workers", m.pool.Resize(+1))
		case syscall.SIGTTOU:
			m.log.Info("one worker less", "workers", m.pool.Resize(-1))
		case syscall.SIGUSR1:
			m.reopenLog()
		case syscall.SIGUSR2:
			if m.dev != nil {
				m.log.Warn("SIGUSR2: a development server can't be upgraded; start it again")
				continue
			}
			go func() {
				if err := m.upgrade(); !errors.Is(err, supervisor.ErrStopping) {
					m.log.Error("the upgrade failed; all goes on as before", "error", err)
				}
			}()
		case syscall.SIGPWR:
			m.tellAll(control.Stacks)
		}
	}
}

func (m *master) reopenLog() {
	if m.logFile == nil && accessLogPath(m.settings.Load().AccessLog) == "" {
		m.log.Warn("SIGUSR1 opens log files anew, but there is none: see --log-file and --access-log")
		return
	}
	if m.logFile != nil {
		if err := m.logFile.Reopen(); err != nil {
			m.log.Error("the log goes on in the old file", "error", err)
		}
	}
	m.tellAll(control.Reopen)
}

func (m *master) tellAll(kind string) {
	m.pool.Each(func(w supervisor.Process) { w.(*workerProcess).tell(control.Message{Kind: kind}) })
}

// stop ends the server; called again, at once.
func (m *master) stop(sig os.Signal, quick bool) {
	again := m.last.Swap(int64(sig.(syscall.Signal))) != 0
	switch {
	case m.dev != nil: // who pressed Ctrl-C knows
	case again:
		m.log.Error("ended at once by a second signal; requests in hand are lost", "signal", sig.String())
	case quick:
		m.log.Info("ending; requests in hand are lost", "signal", sig.String())
	default:
		m.log.Info("draining: requests in hand may finish; a second signal ends the server at once", "signal", sig.String(),
			"timeout", m.settings.Load().GracefulTimeout)
	}
	m.end()
	m.notify(m.systemd.Stopping())
	m.closing.Lock()
	closeAll(m.listeners) // new clients are refused, or go to another server
	m.closing.Unlock()
	m.pool.Stop(quick)
}

func (m *master) lastSignal() syscall.Signal { return syscall.Signal(m.last.Load()) }

// reload exchanges the workers for ones that run what is there now, by the settings that are there now. Addresses, user and log stay.
func (m *master) reload() error {
	if m.dev != nil {
		return m.dev.restart()
	}
	m.reloading.Lock()
	defer m.reloading.Unlock()
	m.log.Info("reloading")
	m.notify(m.systemd.Reloading())
	c, err := m.line.reparse()
	var settings *workerSettings
	if err == nil {
		settings, err = m.settingsOf(c)
	}
	if err == nil {
		err = m.exchange(settings)
	}
	if errors.Is(err, supervisor.ErrStopping) {
		return err
	}
	m.notify(m.systemd.Ready(m.status()))
	if err != nil {
		m.log.Error("the reload failed; the workers that served before go on\n" + plainText(err))
		return err
	}
	m.log.Info("reloaded")
	return nil
}

// exchange has the workers exchanged for those of other settings, or of the same anew.
func (m *master) exchange(settings *workerSettings) error {
	t, err := m.startTemplate(settings)
	if err != nil {
		return err
	}
	before, templateBefore := m.settings.Swap(settings), m.template.Swap(t)
	unused := templateBefore
	m.pool.SetTimeouts(settings.StartTimeout, settings.GracefulTimeout)
	if err = m.pool.Reload(settings.Workers); err != nil {
		m.pool.SetTimeouts(before.StartTimeout, before.GracefulTimeout)
		m.settings.Store(before)
		m.template.Store(templateBefore)
		unused = t
		if hasEnded(templateBefore) { // meanwhile, when it seemed that nobody needed it
			go m.keepTemplate(templateBefore)
		}
	}
	if unused != nil {
		unused.Stop()
	}
	if err == nil {
		go m.keepTemplate(t)
		m.certify(settings.ACME)
	}
	return err
}

func (m *master) notify(err error) {
	if err != nil {
		m.log.Warn("systemd can't be told", "error", err)
	}
}

func (m *master) status() string {
	s := m.settings.Load()
	return fmt.Sprintf("serving %s with %s of %s", s.appNames(), count(s.Workers, "worker"), count(s.Threads, "thread"))
}

// serving tells scripts and people where the server is, when the first worker serves.
func (m *master) serving(w *workerProcess, info workerInfo) {
	if m.dev != nil {
		m.dev.serving(w, info)
		return
	}
	m.announce.Do(func() {
		s := m.settings.Load()
		build := ""
		if info.FreeThreaded {
			build = " free-threaded"
		}
		for _, l := range m.listeners {
			m.log.Info(fmt.Sprintf("serving %s on %s (CPython %s%s, %s, %s of %s)", s.appNames(), s.url(l),
				info.Version, build, info.Prefix, count(s.Workers, "worker"), count(s.Threads, "thread")))
		}
		m.notify(m.systemd.Ready(m.status()))
		if m.before == nil { // else when its own workers serve
			m.certify(s.ACME)
		}
	})
	for _, f := range info.Static.Folders {
		m.once(slog.LevelInfo, fmt.Sprintf("serving static files at %s/ from %s", f.Prefix, f.Dir))
	}
	for _, problem := range info.Static.Problems {
		m.once(slog.LevelWarn, problem)
	}
}

// once logs a line that each worker has reason for.
func (m *master) once(level slog.Level, line string) {
	if _, said := m.said.LoadOrStore(line, true); !said {
		m.log.Log(context.Background(), level, line)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
