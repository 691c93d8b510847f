// Package watch tells which files of a project changed, by inotify(7): one descriptor in all, one watch for each folder, and nothing to do
// while nothing changes.
package watch

import (
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options are what New is told.
type Options struct {
	Roots  []string     // see SetRoots
	Logger *slog.Logger // for what can't be watched; nil discards
}

// Change is what happened since the last one.
type Change struct {
	// Paths are the files that were made, written, renamed or removed: absolute, sorted, each once. They are called as their root was: a file
	// in a root that was given by a symbolic link has the link in its path, and one that is in two roots is named for each. What was in a
	// folder that went or came is named file by file.
	Paths []string
	// Overflow tells that the kernel's queue was full, so that changes are missing in Paths: anything may have changed.
	Overflow bool
}

// Watcher watches folders and files. Any goroutine may call its methods.
type Watcher struct {
	log     *slog.Logger
	fs      *fsnotify.Watcher
	changes chan Change

	do        chan func() // run by the goroutine of run, which alone uses what follows
	overflow  chan struct{}
	closing   chan struct{}
	closeOnce sync.Once
	ended     sync.WaitGroup

	roots   []*root
	folders map[string]*folder // those that have a watch, by their paths without symbolic links
	full    bool               // the kernel's limit of watches was met, and said

	burst burst
	ready Change // to be given to who receives next
}

// New watches the roots; what changes after it returned is seen. The error is of the kernel refusing one more user of inotify.
func New(o Options) (*Watcher, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, tooManyInstances(err)
	}
	w := &Watcher{
		log: o.Logger, fs: fs, changes: make(chan Change), do: make(chan func()), overflow: make(chan struct{}, 1),
		closing: make(chan struct{}), folders: map[string]*folder{}, burst: newBurst(),
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.setRoots(o.Roots)
	w.ended.Go(w.run)
	w.ended.Go(w.errors)
	return w, nil
}

// Changes gives what changed, once it has been quiet for a moment: 10 ms after one file, else 25, at most 250 ms after the first file; with more than 50 files
// (a git checkout) 100 ms, at most 2 s. What happens while nobody receives is added to what is to be received. It is closed by Close.
func (w *Watcher) Changes() <-chan Change { return w.changes }

// SetRoots says what is watched from now on: folders with all that is in them, and single files. Those that do not exist are waited for.
// Folders in a root that hold no source (caches, virtual environments, repositories' own) are left out, and so are symbolic links to
// folders: either can be a root itself. Files that nobody imports (compiled, temporary, databases, logs, hidden) are, unless they are
// roots. When it returns, the roots are watched; it waits for the walk through folders that are new, a few ms for a hundred.
func (w *Watcher) SetRoots(roots []string) {
	done := make(chan struct{})
	select {
	case w.do <- func() { w.setRoots(roots); close(done) }:
		<-done
	case <-w.closing:
	}
}

// Close ends it and waits until it has. It may be called more than once.
func (w *Watcher) Close() {
	w.closeOnce.Do(func() {
		close(w.closing)
		_ = w.fs.Close() // an inotify descriptor that can't be closed is no trouble of the caller's
	})
	w.ended.Wait()
}

func (w *Watcher) run() {
	defer close(w.changes)
	for {
		var out chan<- Change
		if len(w.ready.Paths) > 0 || w.ready.Overflow {
			out = w.changes
		}
		select {
		case <-w.closing:
			return
		case f := <-w.do:
			f()
		case e, ok := <-w.fs.Events:
			if !ok {
				return
			}
			w.event(e)
		case <-w.overflow:
			w.rewalk()
		case <-w.burst.timer.C:
			w.settle()
		case out <- w.ready:
			w.ready = Change{}
		}
	}
}

// errors has a goroutine of its own: fsnotify may hold its lock while it waits for somebody to take an error.
func (w *Watcher) errors() {
	for err := range w.fs.Errors {
		if !errors.Is(err, fsnotify.ErrEventOverflow) {
			w.log.Debug("a watch was lost", "error", err)
			continue
		}
		select {
		case w.overflow <- struct{}{}:
		default: // one is on its way
		}
	}
}

func (w *Watcher) event(e fsnotify.Event) {
	path := filepath.Clean(e.Name)
	if e.Has(fsnotify.Remove | fsnotify.Rename) {
		w.gone(path)
	}
	f := w.folders[filepath.Dir(path)]
	if f == nil {
		return
	}
	switch {
	case e.Has(fsnotify.Create):
		w.created(f, path)
	case e.Has(fsnotify.Write | fsnotify.Remove | fsnotify.Rename):
		w.note(f, path)
	case e.Has(fsnotify.Chmod) && f.touched(path): // also what touch does
		w.note(f, path)
	}
}

// note takes down a file that may have changed.
func (w *Watcher) note(f *folder, path string) {
	if w.isRoot(path) || f.whole && !ignored(filepath.Base(path)) {
		w.burst.add(path, false, time.Now())
	}
}

// settle makes the burst that is over ready.
func (w *Watcher) settle() {
	for path, known := range w.burst.take() {
		// What came and went meanwhile is an editor's temporary file, and nobody has seen it.
		if f := w.folders[filepath.Dir(path)]; f == nil && !known || f != nil && !f.look(path) && !known {
			continue
		}
		w.ready.Paths = append(w.ready.Paths, w.names(path)...)
	}
	slices.Sort(w.ready.Paths)
	w.ready.Paths = slices.Compact(w.ready.Paths)
	w.ready.Overflow = w.ready.Overflow || w.burst.takeOverflow()
}

// rewalk begins anew, since nobody knows which folders came and went.
func (w *Watcher) rewalk() {
	for _, dir := range w.fs.WatchList() {
		_ = w.fs.Remove(dir) // gone by itself where its folder is
	}
	clear(w.folders)
	for _, r := range w.roots {
		r.there = false
	}
	w.arm(false)
	w.burst.addOverflow(time.Now())
}
