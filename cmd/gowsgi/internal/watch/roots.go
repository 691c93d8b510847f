package watch

import (
	"os"
	"path/filepath"
	"slices"
)

// root is a folder or a file that is to be watched.
type root struct {
	given string // absolute and clean
	there bool
	real  string // given without symbolic links, as it was when last there
	file  bool
}

func (w *Watcher) setRoots(given []string) {
	var all []string
	for _, g := range given {
		if abs, err := filepath.Abs(g); err == nil { // fails without a working folder only
			all = append(all, abs)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if slices.EqualFunc(all, w.roots, func(g string, r *root) bool { return g == r.given }) {
		return
	}
	before := w.roots
	w.roots = nil
	for _, g := range all {
		i := slices.IndexFunc(before, func(r *root) bool { return r.given == g })
		if i < 0 {
			w.roots = append(w.roots, &root{given: g})
		} else {
			w.roots = append(w.roots, before[i])
		}
	}
	for _, f := range w.folders {
		f.whole = false
	}
	for _, r := range w.roots {
		if r.there && !r.file {
			w.walk(r.real, false)
		}
	}
	w.arm(false)
}

// arm begins with the roots that are there by now, listens for the others, and ends the watches that nobody needs. With report, the files
// of the roots that came are taken down as changed.
func (w *Watcher) arm(report bool) {
	needed := map[string]bool{}
	for _, r := range w.roots {
		for !r.there {
			at, st := nearest(r.given)
			if st != nil {
				w.begin(r, at, st.IsDir(), report)
				break
			}
			needed[at] = true
			w.watch(at)
			if again, _ := nearest(r.given); again == at { // else it came just before the watch was there
				break
			}
		}
		if r.there && r.file {
			needed[filepath.Dir(r.real)] = true
		}
	}
	for dir, f := range w.folders {
		if !f.whole && !needed[dir] {
			w.unwatch(dir)
		}
	}
}

func (w *Watcher) begin(r *root, real string, isDir, report bool) {
	r.there, r.real, r.file = true, real, !isDir
	if isDir {
		w.walk(real, report)
		return
	}
	switch f := w.watch(filepath.Dir(real)); {
	case f == nil:
	case report:
		w.note(f, real)
	default:
		f.look(real)
	}
}

// nearest is path, or the nearest folder above it that exists, without symbolic links; st is nil where it is not path itself.
func nearest(path string) (real string, st os.FileInfo) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		if st, err := os.Stat(real); err == nil {
			return real, st
		}
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if real, err := filepath.EvalSymlinks(dir); err == nil || dir == "/" {
			return real, nil
		}
	}
}

func (w *Watcher) missing() bool {
	return slices.ContainsFunc(w.roots, func(r *root) bool { return !r.there })
}

func (w *Watcher) isRoot(path string) bool {
	return slices.ContainsFunc(w.roots, func(r *root) bool { return r.real == path })
}

// names are what the roots call a file.
func (w *Watcher) names(path string) (all []string) {
	for _, r := range w.roots {
		if r.real != "" && inside(path, r.real) {
			all = append(all, filepath.Join(r.given, path[len(r.real):]))
		}
	}
	return all
}
