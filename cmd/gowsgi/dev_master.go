package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/control"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devcert"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devlog"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devpy"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/project"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/supervisor"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/watch"
)

// devMaster is what the master of a development server has besides: it watches files, and has one worker after the other. Its template has
// imported what the project does not change, its framework above all, so that a new worker imports the project alone.
type devMaster struct {
	c        *devCmd
	line     *commandLine
	m        *master
	out      io.Writer
	terminal func() // gives the terminal back as it was

	restarting sync.Mutex        // one search for the project at a time
	env        map[string]string // that were set for Python; under restarting
	templating sync.Mutex        // one template is started at a time; locked before exchanging
	exchanging sync.Mutex        // workers, and the template that they are forked from
	doubted    chan struct{}     // holds one where the code that a new worker loads is wrong

	mu         sync.Mutex // guards what follows
	app        *project.App
	generation int64
	starting   map[*workerProcess]bool
	current    *workerProcess    // the last that served; nil before the first
	info       devpy.Description // of current
	preloading devpy.Preloading  // what the template has imported, or tried to
	broken     string            // why the last worker ended before it served; "": it did not
	due        bool              // current has older code than was changed
	gaveUp     bool              // the import that is under way was ended for newer code
	watcher    *watch.Watcher
	authority  string // of a certificate that was made just now; "": none was
	announced  bool
}

// devSettings are what a worker is told of the development server.
type devSettings struct {
	devpy.Settings
	Colour bool
	Group  int // the master's process group
}

// project is the app as it was found last.
func (d *devMaster) project() *project.App {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.app
}

// settings are those of workers to come, without what next adds. A nil devMaster has none.
func (d *devMaster) settings() *devSettings {
	if d == nil {
		return nil
	}
	return &devSettings{Settings: devpy.Settings{Dir: d.project().Dir, Inject: d.c.Inject}, Colour: colours(d.out), Group: syscall.Getpgrp()}
}

// next are the settings of the next worker.
func (d *devMaster) next() *devSettings {
	s := d.settings()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation = max(d.generation+1, time.Now().UnixMilli()) // another than that of a server that ran here before
	s.Generation, s.Broken = d.generation, d.broken
	return s
}

func (d *devMaster) logger(w io.Writer) *slog.Logger {
	return slog.New(devlog.Handler(w, colours(d.out)))
}

// begins takes note of a worker that starts. A nil devMaster does nothing.
func (d *devMaster) begins(w *workerProcess) {
	if d != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.starting[w] = true
	}
}

// ended takes note of a worker that has ended: one that never served was ended by its import. A nil devMaster does nothing.
func (d *devMaster) ended(w *workerProcess) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.exit.Code != 0 {
		d.terminal() // a debugger may have been in the middle of a line
	}
	if d.starting[w] && !w.killed.Load() && d.m.last.Load() == 0 {
		d.broken = "the process ended while it imported the app: " + w.exit.Text
	}
	delete(d.starting, w)
}

// failed takes note of why a worker ends before it serves. A nil devMaster does nothing.
func (d *devMaster) failed(why string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = why
}

// serving takes note of a worker that serves.
func (d *devMaster) serving(w *workerProcess, info workerInfo) {
	d.mu.Lock()
	delete(d.starting, w)
	d.current, d.broken = w, ""
	if info.Dev != nil {
		d.info = *info.Dev
	}
	first := !d.announced
	d.announced = true
	d.mu.Unlock()
	if first {
		d.announce(info)
	}
	go func() {
		d.follow()
		if info.Dev != nil && info.Dev.Broken == "" {
			d.prepare(info.Dev)
		}
	}()
}

// admit has a worker take connections. A nil devMaster does nothing: other workers do so by themselves.
func (d *devMaster) admit(w supervisor.Process) {
	if d != nil {
		w.(*workerProcess).tell(control.Message{Kind: control.Serve})
	}
}

// announce says what runs, with which Python, and where.
func (d *devMaster) announce(info workerInfo) {
	s := d.m.settings.Load()
	what := s.appNames()
	if info.Dev.Framework != "" {
		what = info.Dev.Framework + ", " + what
	}
	if d.project().Why != "" {
		what += " (" + d.project().Why + ")"
	}
	url, others := d.url()
	d.m.log.Info(what)
	d.m.log.Info(fmt.Sprintf("Python %s, %s", info.Version, info.Prefix))
	end := "Ctrl-C ends it"
	if d.c.Reload {
		end = "it follows your changes; " + end
	}
	d.m.log.Info(fmt.Sprintf("%s%s   %s", url, others, end))
	d.mu.Lock()
	authority := d.authority
	d.mu.Unlock()
	if authority != "" {
		d.m.log.Info(devcert.Trust(authority))
	}
	if d.c.Open {
		go d.open(url)
	}
}

// url is where the user of this machine finds the site, and where others do.
func (d *devMaster) url() (here, others string) {
	l := d.m.listeners[0]
	here = d.m.settings.Load().url(l) + "/"
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		scheme, _, _ := strings.Cut(here, ":")
		return fmt.Sprintf("%s://127.0.0.1:%d/", scheme, tcp.Port), " and this machine's other addresses"
	}
	return here, ""
}

// begin begins to watch. A nil devMaster does nothing.
func (d *devMaster) begin() {
	if d != nil {
		d.follow()
	}
}

// close lets go of the watcher. A nil devMaster has none.
func (d *devMaster) close() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watcher != nil {
		d.watcher.Close()
	}
}
