package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/gateway"
	"github.com/gowsgi/gowsgi/pyhost"
)

type serveCmd struct {
	appFlags

	Bind             []bind        `default:"127.0.0.1:8000" placeholder:"ADDRESS" help:"Where to listen: host:port, :port, [::1]:port, unix:PATH, or fd:N for an inherited socket. Can be repeated. Default: ${default}."`
	Threads          int           `default:"16" help:"How many Python threads run the app at most."`
	StreamInput      bool          `help:"Call the app before its request body has arrived, for apps that show progress. A slow upload then holds a Python thread."`
	SpoolDir         string        `placeholder:"FOLDER" help:"Where long bodies wait, in files without a name. Default: $TMPDIR or /tmp."`
	SpoolLimit       size          `default:"64m" placeholder:"SIZE" help:"How much of one response may wait there for a slow client (64k, 16m, 1g); past that the app waits. Default: ${default}."`
	LimitRequestBody size          `default:"1g" placeholder:"SIZE" help:"The longest request body; a longer one is answered 413. 0: no limit. Default: ${default}."`
	HeaderTimeout    time.Duration `default:"30s" placeholder:"TIME" help:"How long a client may take for a request's header. 0: no limit. Default: ${default}."`
	BodyTimeout      time.Duration `default:"60s" placeholder:"TIME" help:"How long a client may send nothing of a body that it owes. 0: no limit. Default: ${default}."`
	WriteTimeout     time.Duration `default:"60s" placeholder:"TIME" help:"How long a client may take nothing of a response. 0: no limit. Default: ${default}."`
	IdleTimeout      time.Duration `default:"75s" placeholder:"TIME" help:"How long a connection may wait for its next request. 0: no limit. Default: ${default}."`
	GracefulTimeout  time.Duration `default:"30s" placeholder:"TIME" help:"How long requests in hand may take to finish after SIGTERM or SIGINT. Default: ${default}."`
}

// Validate implements kong's interface.
func (c *serveCmd) Validate() error {
	switch {
	case c.App == "" && len(c.Mount) == 0:
		return fmt.Errorf("name the app to serve, such as mysite.wsgi")
	case c.Threads < 1 || c.Threads > 10000:
		return fmt.Errorf("--threads must be from 1 to 10000")
	case c.SpoolLimit < 1:
		return fmt.Errorf("--spool-limit must be 1 byte or more")
	case min(c.HeaderTimeout, c.BodyTimeout, c.WriteTimeout, c.IdleTimeout, c.GracefulTimeout) < 0:
		return fmt.Errorf("a timeout must not be negative")
	}
	return nil
}

// Run serves until a signal or the app ends it.
func (c *serveCmd) Run(o *output) error {
	s := &serving{
		log: newLogger(o.Log), graceful: c.GracefulTimeout, signals: takeSignals(), failed: make(chan error, len(c.Bind)),
	}
	raiseGOMAXPROCS()
	mounts, err := c.enter()
	if err != nil {
		return err
	}
	// Before Python: an address in use shows at once, and clients of a restarted server wait instead of being refused.
	listeners, err := listenAll(c.Bind)
	if err != nil {
		return err
	}
	defer closeAll(listeners)
	err = s.unlessStopped(func() error { return c.start(s, listeners, mounts) })
	if err != nil {
		return err
	}
	for _, ln := range listeners {
		s.log.Info(servingLine(s.host.Info(), mounts, ln, c.Threads))
		go func() { s.failed <- s.server.Serve(ln) }()
	}
	return s.wait()
}

// start loads Python and the apps and starts the Python threads.
func (c *serveCmd) start(s *serving, listeners []net.Listener, mounts []mount) error {
	spool := c.SpoolDir
	if spool == "" {
		spool = strings.Clone(os.TempDir()) // An app may overwrite the environment's memory.
	}
	host, p, err := c.open(mounts, pyhost.Options{
		Threads: c.Threads, Logger: s.log, SpoolDir: spool, SpoolLimit: int64(c.SpoolLimit),
		Signals: []syscall.Signal{syscall.SIGINT, syscall.SIGTERM},
	})
	if err != nil {
		return err
	}
	if p.Skipped != nil {
		s.log.Warn("python3 on PATH can't be loaded; the bundled Python serves", "reason", p.Skipped)
	}
	// The apps may fork while they are imported.
	for _, ln := range listeners {
		own(host, ln)
	}
	loaded, err := loadApps(host, mounts)
	if err != nil {
		return err
	}
	if err := host.Start(); err != nil {
		return &codeError{exitPython, err}
	}
	s.host = host
	s.server = &gateway.Server{
		App: host, Mounts: loaded, Logger: s.log,
		HeaderTimeout: unlimited(c.HeaderTimeout), BodyTimeout: unlimited(c.BodyTimeout),
		WriteTimeout: unlimited(c.WriteTimeout), IdleTimeout: unlimited(c.IdleTimeout),
		MaxBodySize: unlimited(int64(c.LimitRequestBody)), StreamInput: c.StreamInput, SpoolDir: spool,
	}
	return nil
}

// unlimited is the gateway's way to say no limit, which is 0 on the command line.
func unlimited[T time.Duration | int64](limit T) T {
	if limit == 0 {
		return -1
	}
	return limit
}

// own has a listener closed in the processes that the app forks.
func own(host *pyhost.Host, ln net.Listener) {
	if sc, ok := ln.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { host.OwnFD(fd, true) })
		}
	}
}

// servingLine is what tells scripts and people where the server is.
func servingLine(info pyhost.Info, mounts []mount, ln net.Listener, threads int) string {
	var apps []string
	for _, m := range mounts {
		apps = append(apps, m.String())
	}
	build := ""
	if info.FreeThreaded {
		build = " free-threaded"
	}
	return fmt.Sprintf("serving %s on %s (CPython %s%s, %s, %d threads)",
		strings.Join(apps, ", "), listenerURL(ln), info.Version, build, info.Prefix, threads)
}

// raiseGOMAXPROCS gives Go's scheduler four threads at least. With one or two, each call into C that takes longer than 20 us costs two
// thread switches, which doubles the cost of a small request.
func raiseGOMAXPROCS() {
	const least = 4
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < least {
		runtime.GOMAXPROCS(least)
	}
}
