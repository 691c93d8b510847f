package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/supervisor"
	"github.com/gowsgi/gowsgi/pyhost"
	"github.com/gowsgi/gowsgi/pyhost/template"
)

// preload is the flag --preload, which may have the value force.
type preload string

const (
	preloadOff   preload = "false"
	preloadOn    preload = "true"
	preloadForce preload = "force"
)

// IsBool implements kong.BoolMapperValue.
func (*preload) IsBool() bool { return true }

// Decode implements kong.BoolMapperValue.
func (p *preload) Decode(ctx *kong.DecodeContext) error {
	*p = preloadOn
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	*p = preload(fmt.Sprint(ctx.Scan.Pop().Value))
	switch *p {
	case preloadOff, preloadOn, preloadForce:
		return nil
	}
	return fmt.Errorf("--preload is true, false or force, not %q", string(*p))
}

// forkTimeout is how long a template may take to fork.
const forkTimeout = 30 * time.Second

// hasEnded says whether a template has; nil has not.
func hasEnded(t *template.Template) bool {
	if t == nil {
		return false
	}
	select {
	case <-t.Done():
		return true
	default:
		return false
	}
}

// startTemplate starts a template where the settings ask for one.
func (m *master) startTemplate(s *workerSettings) (*template.Template, error) {
	if !s.Preload && m.dev == nil {
		return nil, nil
	}
	o := template.Options{
		Python: s.Python, Args: s.PythonArgs, Dir: s.Dir, Multiprocess: s.Multiprocess, Warmup: s.Warmup, Force: s.PreloadForce,
		Files: firstListener - controlFD + len(m.listeners), Logger: m.log.With("process", "template"), Child: m.children.Start, Ended: m.children.Forget,
	}
	if m.dev != nil {
		m.dev.template(&o)
		s = &workerSettings{StartTimeout: devTemplateTimeout} // its apps are imported by the workers
	}
	for _, a := range s.Apps {
		o.Apps = append(o.Apps, template.App{Prefix: a.Prefix, Spec: a.Spec})
	}
	ctx := m.ending
	if s.StartTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.StartTimeout, fmt.Errorf("it took longer than %v", s.StartTimeout))
		defer cancel()
	}
	t, err := template.Start(ctx, o)
	m.collectOrphans() // they come here from now on
	var load *pyhost.LoadError
	var start *pyhost.StartError
	if errors.As(err, &load) || errors.As(err, &start) {
		err = &codeError{exitPython, err}
	}
	if err != nil && m.ending.Err() != nil {
		err = supervisor.ErrStopping
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Waiting times after a template that did not start again.
const (
	firstTemplateRetry = time.Second
	lastTemplateRetry  = time.Minute
)

// keepTemplate has the template replaced when it ends by itself. Its workers live on.
func (m *master) keepTemplate(t *template.Template) {
	if t == nil {
		return
	}
	m.kept.Store(t)
	<-t.Done()
	if m.dev != nil && m.isEndingSoon() {
		return
	}
	for retry := firstTemplateRetry; m.template.Load() == t && m.ending.Err() == nil; retry = min(2*retry, lastTemplateRetry) {
		m.log.Error("the template process ended by itself; a new one is started", "pid", t.Pid())
		next, err := m.startTemplate(m.settings.Load())
		if err == nil {
			switch {
			case m.template.CompareAndSwap(t, next):
				go m.keepTemplate(next)
			case next != nil: // a reload made one
				next.Stop()
			}
			return
		}
		if m.ending.Err() != nil {
			return
		}
		m.log.Error("no new template; trying again", "after", retry, "error", err)
		time.Sleep(retry)
	}
}

// isEndingSoon waits a moment for a signal that ends the server: one that a terminal sends to all its processes ends the template at once.
func (m *master) isEndingSoon() bool {
	select {
	case <-m.ending.Done():
		return true
	case <-time.After(100 * time.Millisecond):
		return false
	}
}

// fork makes a worker out of the template.
func fork(ctx context.Context, t *template.Template, number int, files []uintptr) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, forkTimeout)
	defer cancel()
	return t.Fork(ctx, workerName+strconv.Itoa(number), files)
}
