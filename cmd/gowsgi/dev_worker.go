package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/control"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devlog"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devpy"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/livereload"
	"github.com/gowsgi/gowsgi/gateway"
	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/pyhost"
)

// devWorker is what a worker of a development server has besides.
type devWorker struct {
	w      *worker
	s      *devSettings
	info   *devpy.Description
	events *livereload.Events
}

// newDevWorker returns nil for a worker of another server, with which its methods do nothing.
func newDevWorker(w *worker) *devWorker {
	if w.s.Dev == nil {
		return nil
	}
	d := &devWorker{w: w, s: w.s.Dev}
	// What a terminal or a shell sends to all its processes is the master's business. SIGINT and SIGTERM are taken already.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGQUIT, syscall.SIGHUP)
	w.signals = nil
	_ = syscall.Setpgid(0, d.s.Group) // a debugger reads the terminal; fails where the master is gone
	w.log = slog.New(devlog.Handler(w.out, d.s.Colour))
	return d
}

// doubtTime is how long code that does not load is not shown yet: some editors write a file in steps.
const doubtTime = 100 * time.Millisecond

// endTime is how long Python's end may take. In a development server a thread that does not end is a second one of a kind where the next
// worker has started its own. A nil devWorker leaves the time as it is.
func (d *devWorker) endTime(t time.Duration) time.Duration {
	if d == nil {
		return t
	}
	return leastEnd
}

func (d *devWorker) modules() []pyhost.Module {
	if d == nil {
		return nil
	}
	return devpy.Modules()
}

// configure tells Python how the development server is set, before apps are loaded.
func (d *devWorker) configure(host *pyhost.Host) error {
	if d == nil {
		return nil
	}
	settings := d.s.Settings
	for _, folder := range d.w.s.Static.Folders {
		settings.Static = append(settings.Static, folder.Dir)
	}
	text, err := json.Marshal(settings)
	if err == nil {
		_, err = host.Ask(context.Background(), devpy.Configure, string(text))
	}
	if err != nil {
		return &codeError{exitPython, fmt.Errorf("the development server's part in Python: %w", err)}
	}
	return nil
}

// mount asks Python what was loaded, and adds the log of requests and the script and the events of the pages.
func (d *devWorker) mount(host *pyhost.Host, server *gateway.Server) error {
	if d == nil {
		return nil
	}
	text, err := host.Ask(context.Background(), devpy.Describe, "")
	if err == nil {
		err = json.Unmarshal([]byte(text), &d.info)
	}
	if err != nil {
		return &codeError{exitPython, fmt.Errorf("the development server's part in Python: %w", err)}
	}
	if d.info.Broken != "" {
		_ = d.w.control.Send(control.Message{Kind: control.Doubt})
		time.Sleep(doubtTime)
	}
	requests := devlog.New(d.w.out, d.s.Colour)
	server.AccessLog = accesslog.NewEach(func(e accesslog.Entry) { requests.Add(&e) })
	d.events = livereload.New(d.s.Generation, server.Draining)
	server.Mounts = append(server.Mounts, gateway.Mount{Prefix: livereload.Prefix, Handler: d.events})
	return nil
}

// description is what the master is told.
func (d *devWorker) description() *devpy.Description {
	if d == nil {
		return nil
	}
	return d.info
}

// order does what the master says. It waits for Python's main thread, so it has a goroutine of its own.
func (d *devWorker) order(m control.Message) {
	switch m.Kind {
	case control.Changed:
		host := d.w.host.Load()
		if host == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		text, err := host.Ask(ctx, devpy.Classify, string(m.Data))
		if err != nil {
			d.w.log.Error("what a change means can't be told; the code is loaded anew", "error", err)
			text = `{"Reload": true}`
		}
		_ = d.w.control.Send(control.Message{Kind: control.Meaning, Code: m.Code, Data: json.RawMessage(text)})
	case control.Pages:
		var meaning devpy.Meaning
		if json.Unmarshal(m.Data, &meaning) != nil {
			return
		}
		if meaning.Page {
			d.events.Page()
		} else {
			d.events.CSS(meaning.CSS)
		}
	}
}
