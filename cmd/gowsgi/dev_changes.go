package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/control"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devpy"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/watch"
)

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
		w.Kill()
		d.gaveUp = true
	}
}

// answerTime is how long a worker may take to say what a change means. One that does not answer is replaced.
const answerTime = 2 * time.Second

// changed finds out what a change means, and does it.
func (d *devMaster) changed(c watch.Change) {
	began := time.Now()
	path, anew := "a file", c.Overflow
	if len(c.Paths) > 0 {
		path = c.Paths[max(0, slices.IndexFunc(c.Paths, func(p string) bool { return strings.HasSuffix(p, ".py") }))]
	}
	if i := slices.IndexFunc(c.Paths, func(p string) bool { return d.isProjectFile(p) || d.isPackage(p) }); i >= 0 {
		path, anew = c.Paths[i], true
	}
	d.mu.Lock()
	w, due := d.current, d.due || anew
	d.gaveUp = false
	d.mu.Unlock()
	meaning := devpy.Meaning{Reload: true} // where none has ever served
	if w != nil {
		meaning = d.ask(w, c.Paths, due)
	}
	switch {
	case anew:
		d.say(d.restart(), path, began)
	case meaning.Reload:
		d.say(d.exchange(), path, began)
	case meaning.Page || len(meaning.CSS) > 0:
		data, _ := json.Marshal(meaning)
		w.tell(control.Message{Kind: control.Pages, Data: data})
	}
}

// ask asks a worker what a change means; due: that the code is loaded anew. Where somebody is in the debugger it waits for that.
func (d *devMaster) ask(w *workerProcess, paths []string, due bool) devpy.Meaning {
	for told := false; ; {
		select {
		case meaning := <-w.asked.ask(w, paths):
			meaning.Reload = meaning.Reload || due
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

// question is the last one that a worker was asked. An answer to one before is of no use: it came too late.
type question struct {
	mu     sync.Mutex
	number int
	answer chan devpy.Meaning
}

// ask asks what a change means.
func (q *question) ask(w *workerProcess, paths []string) <-chan devpy.Meaning {
	data, _ := json.Marshal(append([]string{}, paths...)) // a list even where it is empty
	q.mu.Lock()
	defer q.mu.Unlock()
	q.number++
	q.answer = make(chan devpy.Meaning, 1)
	w.tell(control.Message{Kind: control.Changed, Code: q.number, Data: data})
	return q.answer
}

// answered takes an answer.
func (q *question) answered(m control.Message) {
	var meaning devpy.Meaning
	_ = json.Unmarshal(m.Data, &meaning)
	q.mu.Lock()
	defer q.mu.Unlock()
	if m.Code != q.number {
		return
	}
	select {
	case q.answer <- meaning:
	default: // it was answered before
	}
}

// exchange has a new worker take the place of the one that serves. Where its import ends the process, another shows that.
func (d *devMaster) exchange() error {
	d.exchanging.Lock()
	defer d.exchanging.Unlock()
	d.mu.Lock()
	d.broken, d.gaveUp, d.due = "", false, true
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
	if err == nil {
		d.mu.Lock()
		d.due = false
		d.mu.Unlock()
	}
	return err
}

// restart begins from the start: with the project as it is found now, and the packages that are there now.
func (d *devMaster) restart() error {
	d.restarting.Lock()
	defer d.restarting.Unlock()
	if err := d.configure(); err != nil {
		return err
	}
	c, err := d.serveCmd()
	if err != nil {
		return err
	}
	s, err := d.m.settingsOf(c)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.preloading = devpy.Preloading{}
	d.mu.Unlock()
	if err := d.exchangeTemplate(s); err != nil {
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
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(projectFiles(d.app.Dir, pathIn(d.line.dir, d.c.Chdir)), path)
}

// isPackage says whether a file is one of an installed package.
func (d *devMaster) isPackage(path string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.info.Packages, func(dir string) bool { return strings.HasPrefix(path, dir+"/") })
}
