package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devpy"
	"github.com/gowsgi/gowsgi/pyhost"
	"github.com/gowsgi/gowsgi/pyhost/template"
)

// template has a template import modules instead of apps.
func (d *devMaster) template(o *template.Options) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o.Stdin, o.Modules = true, devpy.Modules()
	p := d.preloading
	p.Modules = slices.DeleteFunc(slices.Clone(p.Modules), func(name string) bool { return slices.Contains(p.Skip, name) })
	text, _ := json.Marshal(p)
	for len(text) > mostPreloading && len(p.Modules) > 0 {
		p.Modules = p.Modules[:len(p.Modules)*9/10]
		text, _ = json.Marshal(p)
	}
	o.Calls = []template.Call{{Function: devpy.Preload, Text: string(text)}}
}

// mostPreloading is how many bytes a template is told of what it is to import: an order to it is one packet.
const mostPreloading = 140_000

// prepare has a template that has imported the modules of an app, for the workers to come.
func (d *devMaster) prepare(info *devpy.Description) {
	d.mu.Lock()
	p := &d.preloading
	own, environ := union(p.Own, info.Own), union(p.Environ, info.Environ)
	known := len(union(p.Modules, info.Modules)) == len(p.Modules) && len(own) == len(p.Own) && len(environ) == len(p.Environ)
	if !known {
		p.Modules, p.Own, p.Environ = info.Modules, own, environ
	}
	d.mu.Unlock()
	if known {
		return
	}
	if err := d.exchangeTemplate(nil); err != nil && d.m.ending.Err() == nil {
		d.m.log.Debug("no template with the framework", "error", err)
	}
}

// union is the texts of both, each once.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// devTemplateTimeout is how long a template may take to import the framework.
const devTemplateTimeout = 2 * time.Minute

// mostRefusals is how many times a template is started anew without the modules that must not be in it.
const mostRefusals = 8

// exchangeTemplate starts a template with the modules, in the place of the one before, and gives settings to workers to come; nil: those that are
// there.
func (d *devMaster) exchangeTemplate(s *workerSettings) error {
	d.templating.Lock()
	defer d.templating.Unlock()
	if s == nil {
		s = d.m.settings.Load()
	}
	for try := 0; ; try++ {
		t, err := d.m.startTemplate(s)
		var app *pyhost.AppError
		if try < mostRefusals && errors.As(err, &app) && app.Spec == devpy.Preload {
			d.mu.Lock()
			d.preloading.Skip = append(d.preloading.Skip, strings.Split(app.Reason, "\n")...)
			d.mu.Unlock()
			continue
		}
		if err != nil {
			return err
		}
		d.exchanging.Lock()
		defer d.exchanging.Unlock()
		d.m.settings.Store(s)
		if before := d.m.template.Swap(t); before != nil {
			before.Stop()
		}
		go d.m.keepTemplate(t)
		return nil
	}
}
