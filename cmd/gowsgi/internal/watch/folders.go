package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// folder is one that has a watch.
type folder struct {
	whole bool                 // all that is in it counts; else it is watched for the roots that are in it, or will be
	files map[string]time.Time // those that were there when last looked at, and when they had been modified
}

// look looks at a file again. It tells whether it is there, or was.
func (f *folder) look(path string) bool {
	name := filepath.Base(path)
	st, err := os.Lstat(path)
	if err != nil || st.IsDir() {
		_, was := f.files[name]
		delete(f.files, name)
		return was
	}
	f.files[name] = st.ModTime()
	return true
}

// touched tells whether a file was modified since it was last looked at.
func (f *folder) touched(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && !st.IsDir() && !st.ModTime().Equal(f.files[filepath.Base(path)])
}

// watch gives a folder a watch, also where it had one: the folder of that name may be another by now. It returns nil where it can't.
func (w *Watcher) watch(dir string) *folder {
	err := w.fs.Add(dir)
	if err == nil {
		f := w.folders[dir]
		if f == nil {
			f = &folder{files: map[string]time.Time{}}
			w.folders[dir] = f
		}
		return f
	}
	switch {
	case errors.Is(err, syscall.ENOSPC) && !w.full:
		w.full = true
		w.log.Warn(tooManyWatches(len(w.folders)), "folder", dir)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOSPC), errors.Is(err, fsnotify.ErrClosed):
	default:
		w.log.Debug("a folder can't be watched", "folder", dir, "error", err)
	}
	delete(w.folders, dir)
	return nil
}

// walk watches a folder and those in it, upper ones first: where the kernel's limit is met, it is the deep ones that go without. With
// report, files that were not known are taken down as changed.
func (w *Watcher) walk(top string, report bool) {
	for queue := []string{top}; len(queue) > 0; queue = queue[1:] {
		dir := queue[0]
		f := w.watch(dir) // before it is read, so that nothing comes between
		if f == nil {
			continue
		}
		f.whole = true
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // gone, which its watch tells
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if e.IsDir() {
				if !w.skipped(path) {
					queue = append(queue, path)
				}
				continue
			}
			if ignored(e.Name()) && !w.isRoot(path) {
				continue
			}
			if _, known := f.files[e.Name()]; known {
				continue
			}
			if report {
				w.burst.add(path, false, time.Now())
			} else {
				f.look(path)
			}
		}
	}
}

// created is told of what came into a folder.
func (w *Watcher) created(f *folder, path string) {
	if w.missing() {
		w.arm(true)
	}
	if !f.whole {
		w.note(f, path)
		return
	}
	switch st, err := os.Lstat(path); {
	case err == nil && st.IsDir():
		if !w.skipped(path) {
			w.walk(path, true)
		}
	case filepath.Base(path) == environment && w.skipped(filepath.Dir(path)):
		w.drop(filepath.Dir(path), func(string, *folder) {}) // python -m venv is at work in it
	default:
		w.note(f, path)
	}
}

// gone is told of what is no longer at path. It does nothing for a file.
func (w *Watcher) gone(path string) {
	if w.folders[path] == nil {
		return
	}
	w.drop(path, func(dir string, f *folder) {
		for name := range f.files {
			w.burst.add(filepath.Join(dir, name), true, time.Now())
		}
	})
	for _, r := range w.roots {
		if r.there && inside(r.real, path) {
			r.there = false
		}
	}
	if w.missing() {
		w.arm(true)
	}
}

// drop ends the watches of a folder and of those in it. A folder that was renamed takes its watches along, under the old names.
func (w *Watcher) drop(top string, each func(dir string, f *folder)) {
	for dir, f := range w.folders {
		if inside(dir, top) {
			each(dir, f)
			w.unwatch(dir)
		}
	}
}

func (w *Watcher) unwatch(dir string) {
	_ = w.fs.Remove(dir) // gone by itself where its folder is
	delete(w.folders, dir)
}

// inside tells whether path is top or in it. Both are clean.
func inside(path, top string) bool {
	return path == top || strings.HasPrefix(path, strings.TrimSuffix(top, "/")+"/")
}
