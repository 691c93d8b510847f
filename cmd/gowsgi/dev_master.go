package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/control"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devcert"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devlog"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devpy"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/project"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/watch"
	"github.com/gowsgi/gowsgi/pyhost"
	"github.com/gowsgi/gowsgi/pyhost/template"
)

// devMaster is what the master of a development server has besides: it watches files, and has one worker after the other. Its template has
// imported what the project does not change, its framework above all, so that a new worker imports the project alone.
type devMaster struct {
	c         *devCmd
	line      *commandLine
	m         *master
	out       io.Writer
	terminal  func() // gives the terminal back as it was
	authority string // of a certificate that was made just now; "": none was

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
	modules    []string          // that the template has, or tried
	skip       []string          // of these: they can't be imported there
	broken     string            // why the last worker ended before it served; "": it did not
	gaveUp     bool              // the import that is under way was ended for newer code
	watcher    *watch.Watcher
	announced  bool
}

// devSettings are what a worker is told of the development server.
type devSettings struct {
	devpy.Settings
	Colour bool
}

// colour says whether the log may have colours.
func (d *devMaster) colour() bool {
	f, ok := d.out.(*os.File)
	return ok && devlog.Color(int(f.Fd()))
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
	return &devSettings{Settings: devpy.Settings{Dir: d.project().Dir, Inject: d.c.Inject}, Colour: d.colour()}
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
	return slog.New(devlog.Handler(w, d.colour()))
}

// template has a template import modules instead of apps.
func (d *devMaster) template(o *template.Options) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o.Terminal, o.Modules = true, devpy.Modules()
	text, _ := json.Marshal(devpy.Preloading{Modules: d.modules, Skip: d.skip, Own: d.info.Own})
	o.Calls = []template.Call{{Function: devpy.Preload, Text: string(text)}}
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
	if d.starting[w] && d.m.last.Load() == 0 {
		d.broken = "the process ended while it imported the app: " + w.exit.Text
	}
	delete(d.starting, w)
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
			d.prepare(info.Dev.Modules)
		}
	}()
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
	url := s.url(d.m.listeners[0]) + "/"
	d.m.log.Info(what)
	d.m.log.Info(fmt.Sprintf("Python %s, %s", info.Version, info.Prefix))
	end := "Ctrl-C ends it"
	if d.c.Reload {
		end = "it follows your changes; " + end
	}
	d.m.log.Info(fmt.Sprintf("%s   %s", url, end))
	if d.authority != "" {
		d.m.log.Info(devcert.Trust(d.authority))
	}
	if d.c.Open {
		go d.open(url)
	}
}

// follow watches what the app is made of; the project's folder alone before it was loaded.
func (d *devMaster) follow() {
	if !d.c.Reload {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	roots := append([]string{d.app.Dir}, d.info.Watch...)
	roots = append(roots, projectFiles(d.app.Dir, pathIn(d.line.dir, d.c.Chdir))...)
	if d.info.Missing != "" { // until it is installed
		for _, dir := range d.info.Packages {
			roots = append(roots, filepath.Join(dir, d.info.Missing), filepath.Join(dir, d.info.Missing+".py"))
		}
	}
	if d.watcher != nil {
		d.watcher.SetRoots(roots)
		return
	}
	var err error
	if d.watcher, err = watch.New(watch.Options{Roots: roots, Logger: d.m.log}); err != nil {
		d.m.log.Error("files are not watched", "error", err)
		return
	}
	go d.watch(d.watcher)
}

// prepare has a template that has imported modules, for the workers to come.
func (d *devMaster) prepare(modules []string) {
	d.mu.Lock()
	known := map[string]bool{}
	for _, name := range d.modules {
		known[name] = true
	}
	missing := slices.ContainsFunc(modules, func(name string) bool { return !known[name] })
	if missing {
		d.modules = modules
	}
	d.mu.Unlock()
	if !missing {
		return
	}
	if err := d.exchangeTemplate(); err != nil && d.m.ending.Err() == nil {
		d.m.log.Debug("no template with the framework", "error", err)
	}
}

// mostRefusals is how many times a template is started anew without the modules that must not be in it.
const mostRefusals = 5

// exchangeTemplate starts a template with the modules, in the place of the one before.
func (d *devMaster) exchangeTemplate() error {
	d.templating.Lock()
	defer d.templating.Unlock()
	for try := 0; ; try++ {
		t, err := d.m.startTemplate(d.m.settings.Load())
		var app *pyhost.AppError
		if try < mostRefusals && errors.As(err, &app) && app.Spec == devpy.Preload {
			d.mu.Lock()
			d.skip = append(d.skip, strings.Split(app.Reason, "\n")...)
			d.mu.Unlock()
			continue
		}
		if err != nil {
			return err
		}
		d.exchanging.Lock()
		defer d.exchanging.Unlock()
		if before := d.m.template.Swap(t); before != nil {
			before.Stop()
			d.m.children.Forget(before.Pid())
		}
		go d.m.keepTemplate(t)
		return nil
	}
}

// patience is how long a worker may take to import the app before a change has another take its place.
const patience = time.Second

// watch does what changes ask for, until the server ends.
func (d *devMaster) watch(w *watch.Watcher) {
	var busy chan struct{} // closed when the exchange that is under way is over
	for change := range w.Changes() {
		for busy != nil {
			select {
			case <-busy:
				busy = nil
			case <-d.doubted:
				d.giveUp() // a file that was written in part, as it seems
			case <-time.After(patience):
				d.giveUp()
			}
		}
		if d.m.ending.Err() != nil {
			return
		}
		busy = make(chan struct{})
		go func(done chan struct{}) {
			defer close(done)
			d.changed(change)
		}(busy)
	}
}

// doubt takes note of a worker whose code does not load: newer code goes before it.
func (d *devMaster) doubt() {
	select {
	case d.doubted <- struct{}{}:
	default:
	}
}

// giveUp ends a worker that imports old code for long.
func (d *devMaster) giveUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := range d.starting {
		delete(d.starting, w)
		w.Kill()
		d.gaveUp = true
	}
}

// answerTime is how long a worker may take to say what a change means. One that does not answer is replaced.
const answerTime = 2 * time.Second

// changed finds out what a change means, and does it.
func (d *devMaster) changed(c watch.Change) {
	began := time.Now()
	for _, path := range c.Paths {
		if d.isProjectFile(path) || d.isPackage(path) {
			d.say(d.restart(), path, began)
			return
		}
	}
	d.mu.Lock()
	w := d.current
	d.mu.Unlock()
	if w == nil { // the first one still imports what was there before
		d.giveUp()
		return
	}
	meaning := devpy.Meaning{Reload: true}
	if !c.Overflow {
		meaning = d.ask(w, c.Paths)
	}
	switch {
	case meaning.Reload:
		d.say(d.exchange(), d.firstOf(c.Paths), began)
	case meaning.Page || len(meaning.CSS) > 0:
		w.send(control.Pages, meaning)
	}
}

// ask asks a worker what a change means. Where somebody is in the debugger it waits for that.
func (d *devMaster) ask(w *workerProcess, paths []string) devpy.Meaning {
	for told := false; ; {
		w.send(control.Changed, paths)
		select {
		case meaning := <-w.meaning:
			if !meaning.Reload || !meaning.Debugging {
				return meaning
			}
			if !told {
				d.m.log.Info("the change waits for the debugger")
				told = true
			}
			select {
			case <-time.After(300 * time.Millisecond):
			case <-w.exited:
			}
		case <-time.After(answerTime):
			return devpy.Meaning{Reload: true}
		case <-w.exited:
			return devpy.Meaning{Reload: true}
		}
	}
}

// exchange has a new worker take the place of the one that serves. Where its import ends the process, another shows that.
func (d *devMaster) exchange() error {
	d.exchanging.Lock()
	defer d.exchanging.Unlock()
	d.mu.Lock()
	d.broken, d.gaveUp = "", false
	d.mu.Unlock()
	select {
	case <-d.doubted: // of a worker before
	default:
	}
	err := d.m.pool.Reload(1)
	d.mu.Lock()
	again := err != nil && d.broken != "" && !d.gaveUp
	d.mu.Unlock()
	if again {
		err = d.m.pool.Reload(1)
	}
	return err
}

// restart begins from the start: with the project as it is found now, and the packages that are there now.
func (d *devMaster) restart() error {
	d.restarting.Lock()
	defer d.restarting.Unlock()
	c, err := d.serveCmd()
	if err != nil {
		return err
	}
	s, err := d.m.settingsOf(c)
	if err != nil {
		return err
	}
	d.m.settings.Store(s)
	d.mu.Lock()
	d.modules, d.skip = nil, nil
	d.mu.Unlock()
	if err := d.exchangeTemplate(); err != nil {
		return err
	}
	return d.exchange()
}

// say tells how a change ended.
func (d *devMaster) say(err error, path string, began time.Time) {
	if d.m.ending.Err() != nil {
		return
	}
	d.mu.Lock()
	broken, gaveUp := d.info.Broken, d.gaveUp
	d.mu.Unlock()
	if gaveUp {
		return // the next change is at work already
	}
	took := time.Since(began).Round(time.Millisecond)
	if rel, relErr := filepath.Rel(d.project().Dir, path); relErr == nil && !strings.HasPrefix(rel, "..") {
		path = rel
	}
	switch {
	case err != nil:
		d.m.log.Error("the new code is not served: " + plainText(err))
	case broken != "":
		d.m.log.Error(fmt.Sprintf("%s changed: %s", path, broken))
	default:
		d.m.log.Info(fmt.Sprintf("%s changed: loaded in %v", path, took))
	}
}

func (d *devMaster) firstOf(paths []string) string {
	if len(paths) == 0 {
		return "a file"
	}
	return paths[0]
}

// projectFiles are those in some folders that say what the app is.
func projectFiles(dirs ...string) (all []string) {
	for _, dir := range dirs {
		for _, name := range []string{".env", ".flaskenv", "pyproject.toml", "gowsgi.toml", "manage.py"} {
			all = append(all, filepath.Join(dir, name))
		}
	}
	return all
}

func (d *devMaster) isProjectFile(path string) bool {
	return slices.Contains(projectFiles(d.project().Dir, pathIn(d.line.dir, d.c.Chdir)), path)
}

// isPackage says whether a file is one of an installed package.
func (d *devMaster) isPackage(path string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.info.Packages, func(dir string) bool { return strings.HasPrefix(path, dir+"/") })
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
