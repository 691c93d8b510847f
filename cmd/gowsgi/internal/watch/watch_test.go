package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const patience = 20 * time.Second

func start(t *testing.T, roots ...string) *Watcher {
	t.Helper()
	w, err := New(Options{Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// project is a folder with the files, and its path without symbolic links.
func project(t *testing.T, files ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		write(t, filepath.Join(dir, f), "first")
	}
	return dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, []byte(text), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// seen receives until all wanted paths have come, and returns what came, sorted, each once.
func seen(t *testing.T, w *Watcher, want ...string) (all []string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case c := <-w.Changes():
			if !slices.IsSorted(c.Paths) || len(slices.Compact(slices.Clone(c.Paths))) != len(c.Paths) {
				t.Errorf("not sorted, or not each once: %q", c.Paths)
			}
			all = append(all, c.Paths...)
			slices.Sort(all)
			all = slices.Compact(all)
			if !slices.ContainsFunc(want, func(p string) bool { return !slices.Contains(all, p) }) {
				return all
			}
		case <-deadline:
			t.Fatalf("%s went by without %q; there came %q", patience, want, all)
		}
	}
}

// hold lets no event be handled until the function that it returns is called: what happens meanwhile comes at once.
func hold(w *Watcher) (release func()) {
	held := make(chan struct{})
	w.do <- func() { <-held }
	return func() { close(held) }
}

// onlyThese fails where something else comes than the paths. A last file, in the folder, tells that all has come.
func onlyThese(t *testing.T, w *Watcher, dir string, paths ...string) {
	t.Helper()
	last := filepath.Join(dir, "the-last.py")
	write(t, last, time.Now().String())
	want := append(slices.Clone(paths), last)
	slices.Sort(want)
	if got := seen(t, w, want...); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAFileThatIsWrittenIsTold(t *testing.T) {
	dir := project(t, "app.py", "blog/views.py", "blog/templates/a.html")
	w := start(t, dir)
	for _, name := range []string{"app.py", "blog/views.py", "blog/templates/a.html"} {
		file := filepath.Join(dir, name)
		write(t, file, "second")
		onlyThese(t, w, dir, file)
	}
}

func TestWhatNobodyImportsIsNotTold(t *testing.T) {
	for _, name := range []string{
		"a.pyc", "app.py~", ".#app.py", "#app.py#", ".app.py.swp", "app.py.swx", "app.py.swo", "4913", ".DS_Store", "x.tmp", "db.sqlite3",
		"db.sqlite3-journal", "db.sqlite3-wal", "db.sqlite3-shm", "server.log", "app.py___jb_tmp___", "app.py___jb_old___", ".coverage",
		".git/index", ".hg/dirstate", ".svn/wc", "node_modules/a/index.js", "__pycache__/a.py", ".venv/a.py", "venv/a.py", ".tox/a.py", ".nox/a.py",
		".mypy_cache/a.json", ".pytest_cache/a.py", ".ruff_cache/a.py", "blog.egg-info/PKG-INFO", "lib/site-packages/a.py", ".idea/workspace.xml",
	} {
		t.Run(strings.ReplaceAll(name, "/", ":"), func(t *testing.T) {
			t.Parallel()
			dir := project(t)
			w := start(t, dir)
			write(t, filepath.Join(dir, name), "first") // in a folder that comes
			onlyThese(t, w, dir)
			w.SetRoots(nil)
			w.SetRoots([]string{dir})
			write(t, filepath.Join(dir, name), "second") // in one that was there
			onlyThese(t, w, dir)
		})
	}
}

func TestFilesOfSettingsAreToldThoughTheyAreHidden(t *testing.T) {
	dir := project(t, "app.py")
	w := start(t, dir)
	for _, name := range []string{".env", ".env.local", ".flaskenv"} {
		write(t, filepath.Join(dir, name), "A=1")
		seen(t, w, filepath.Join(dir, name))
	}
}

func TestAVirtualEnvironmentIsLeftOutWhateverItIsCalled(t *testing.T) {
	dir := project(t, "app.py", "old/pyvenv.cfg", "old/lib/a.py")
	w := start(t, dir)
	write(t, filepath.Join(dir, "old/lib/a.py"), "second")
	onlyThese(t, w, dir)
	must(t, os.MkdirAll(filepath.Join(dir, "new/lib"), 0o755))
	onlyThese(t, w, dir)
	write(t, filepath.Join(dir, "new/pyvenv.cfg"), "home = /usr/bin")
	onlyThese(t, w, dir)
	write(t, filepath.Join(dir, "new/lib/a.py"), "second")
	onlyThese(t, w, dir)
	write(t, filepath.Join(dir, "pyvenv.cfg"), "home = /usr/bin") // the root is watched whatever it is
	onlyThese(t, w, dir, filepath.Join(dir, "pyvenv.cfg"))
	write(t, filepath.Join(dir, "app.py"), "second")
	onlyThese(t, w, dir, filepath.Join(dir, "app.py"))
}

func TestModesAndAccessAreNoChangeButTouchIs(t *testing.T) {
	dir := project(t, "app.py")
	file := filepath.Join(dir, "app.py")
	w := start(t, dir)
	must(t, os.Chmod(file, 0o600))
	_, err := os.ReadFile(file)
	must(t, err)
	st, err := os.Stat(file)
	must(t, err)
	must(t, os.Chtimes(file, time.Now(), st.ModTime()))
	onlyThese(t, w, dir)
	write(t, file, "second")
	onlyThese(t, w, dir, file)
	must(t, os.Chmod(file, 0o644))
	onlyThese(t, w, dir)
	must(t, os.Chtimes(file, time.Now(), time.Now().Add(time.Second)))
	seen(t, w, file)
}

func TestFoldersThatComeAreWatchedWithWhatIsInThem(t *testing.T) {
	dir := project(t, "app.py")
	w := start(t, dir)
	deep := filepath.Join(dir, "a/b/c/d/e.py")
	write(t, deep, "first") // faster than any watch
	seen(t, w, deep)
	write(t, deep, "second")
	seen(t, w, deep)
	other := project(t, "x/y.py")
	must(t, os.Rename(filepath.Join(other, "x"), filepath.Join(dir, "x")))
	seen(t, w, filepath.Join(dir, "x/y.py"))
	write(t, filepath.Join(dir, "x/y.py"), "second")
	seen(t, w, filepath.Join(dir, "x/y.py"))
}

func TestAFolderThatIsRenamedGoesUnderOneNameAndComesUnderTheOther(t *testing.T) {
	dir := project(t, "blog/views.py", "blog/sub/models.py", "app.py")
	w := start(t, dir)
	in := func(name string) string { return filepath.Join(dir, name) }
	for range 3 {
		must(t, os.Rename(in("blog"), in("news")))
		onlyThese(t, w, dir, in("blog/sub/models.py"), in("blog/views.py"), in("news/sub/models.py"), in("news/views.py"))
		write(t, in("news/sub/models.py"), "second")
		onlyThese(t, w, dir, in("news/sub/models.py"))
		must(t, os.Rename(in("news"), in("blog")))
		onlyThese(t, w, dir, in("blog/sub/models.py"), in("blog/views.py"), in("news/sub/models.py"), in("news/views.py"))
	}
	must(t, os.RemoveAll(in("blog")))
	onlyThese(t, w, dir, in("blog/sub/models.py"), in("blog/views.py"))
	write(t, in("blog/views.py"), "third")
	onlyThese(t, w, dir, in("blog/views.py"))
	release := hold(w)
	must(t, os.RemoveAll(in("blog")))
	write(t, in("blog/views.py"), "made anew at once")
	release()
	onlyThese(t, w, dir, in("blog/views.py"))
	other := project(t)
	must(t, os.Rename(in("blog"), filepath.Join(other, "blog")))
	onlyThese(t, w, dir, in("blog/views.py"))
	write(t, filepath.Join(other, "blog/views.py"), "fourth")
	onlyThese(t, w, dir)
}

func TestFoldersThatComeAndGoQuicklyDoNotStopIt(t *testing.T) {
	dir := project(t, "app.py")
	w := start(t, dir)
	for i := range 300 {
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, fmt.Sprintf("b%d", i%3))
		write(t, filepath.Join(a, "deep/x.py"), "first")
		must(t, os.RemoveAll(b))
		must(t, os.Rename(a, b))
	}
	for i := range 3 {
		must(t, os.RemoveAll(filepath.Join(dir, fmt.Sprintf("b%d", i))))
	}
	file := filepath.Join(dir, "a/deep/x.py")
	write(t, file, "second")
	for end := time.Now().Add(patience); ; {
		if got := seen(t, w, file); len(got) == 1 || time.Now().After(end) {
			break
		}
		write(t, file, "third")
	}
	write(t, file, "last")
	seen(t, w, file)
}

func TestAHundredChangesBeforeAnybodyReceivesComeAsOne(t *testing.T) {
	dir := project(t, "a.py", "b.py")
	w := start(t, dir)
	a, b := filepath.Join(dir, "a.py"), filepath.Join(dir, "b.py")
	write(t, a, "second")
	ready := func() (is bool) {
		done := make(chan struct{})
		w.do <- func() { is = slices.Contains(w.ready.Paths, b); close(done) }
		<-done
		return is
	}
	for i, end := 0, time.Now().Add(patience); i < 100 || !ready(); i++ {
		write(t, b, "second")
		if time.Now().After(end) {
			t.Fatal("b.py was never ready")
		}
	}
	if c := <-w.Changes(); !slices.Equal(c.Paths, []string{a, b}) {
		t.Errorf("got %q", c.Paths)
	}
}
