package watch

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestARootThatIsALinkIsCalledByIt(t *testing.T) {
	dir, other := project(t, "app.py", "blog/views.py"), project(t)
	link := filepath.Join(other, "link")
	must(t, os.Symlink(dir, link))
	w := start(t, link)
	write(t, filepath.Join(dir, "blog/views.py"), "second")
	onlyThese(t, w, link, filepath.Join(link, "blog/views.py"))
	w = start(t, link, dir, filepath.Join(dir, "blog"))
	write(t, filepath.Join(link, "blog/views.py"), "third")
	if got := seen(t, w, filepath.Join(link, "blog/views.py"), filepath.Join(dir, "blog/views.py")); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}

func TestAFileCanBeARoot(t *testing.T) {
	dir := project(t, "app.py", "other.py", "sub/a.py", "data.log")
	file, log := filepath.Join(dir, "app.py"), filepath.Join(dir, "data.log")
	w := start(t, file, log)
	for range 3 { // the way of Vim: the file is another each time
		write(t, filepath.Join(dir, "other.py"), "second")
		write(t, filepath.Join(dir, "sub/a.py"), "second")
		must(t, os.Rename(file, file+"~"))
		write(t, file, "second")
		if got := seen(t, w, file); len(got) != 1 {
			t.Errorf("got %q", got)
		}
	}
	write(t, log, "second")
	seen(t, w, log) // nobody imports it, but somebody asked for it
	must(t, os.Remove(file))
	seen(t, w, file)
	must(t, os.RemoveAll(dir))
	seen(t, w, log)
	release := hold(w)
	write(t, file, "third")
	release()
	seen(t, w, file)
	write(t, file, "fourth")
	seen(t, w, file)
}

func TestRootsMayComeGoAndComeBack(t *testing.T) {
	dir := project(t)
	root := filepath.Join(dir, "not/yet/there")
	file := filepath.Join(root, "templates/a.html")
	w := start(t, root)
	for range 3 {
		write(t, filepath.Join(dir, "not/beside.py"), "is in no root")
		write(t, file, "first")
		if got := seen(t, w, file); len(got) != 1 {
			t.Errorf("it came: %q", got)
		}
		write(t, file, "second")
		seen(t, w, file)
		must(t, os.RemoveAll(filepath.Join(dir, "not")))
		if got := seen(t, w, file); len(got) != 1 {
			t.Errorf("it went: %q", got)
		}
		write(t, file, "third")
		seen(t, w, file)
		must(t, os.Rename(root, filepath.Join(dir, "elsewhere")))
		seen(t, w, file)
		must(t, os.Rename(filepath.Join(dir, "elsewhere"), root))
		seen(t, w, file)
		write(t, file, "fourth")
		seen(t, w, file)
		must(t, os.RemoveAll(root))
		seen(t, w, file)
		must(t, os.RemoveAll(filepath.Join(dir, "not")))
	}
}

func TestARootMayBeInAFolderThatIsLeftOut(t *testing.T) {
	dir := project(t, "app.py", ".venv/lib/site-packages/shop/a.py", ".venv/lib/site-packages/flask/b.py")
	shop := filepath.Join(dir, ".venv/lib/site-packages/shop")
	w := start(t, dir, shop)
	write(t, filepath.Join(dir, ".venv/lib/site-packages/flask/b.py"), "second")
	write(t, filepath.Join(shop, "a.py"), "second")
	onlyThese(t, w, dir, filepath.Join(shop, "a.py"))
	site := filepath.Join(dir, ".venv/lib/site-packages")
	w.SetRoots([]string{dir, site})
	write(t, filepath.Join(site, "flask/b.py"), "third")
	onlyThese(t, w, dir, filepath.Join(site, "flask/b.py"))
}

func TestSetRootsBeginsAndEndsWatches(t *testing.T) {
	one, two := project(t, "sub/a.py"), project(t, "sub/b.py")
	w := start(t, one)
	w.SetRoots([]string{two})
	write(t, filepath.Join(one, "sub/a.py"), "second")
	write(t, filepath.Join(two, "sub/b.py"), "second")
	onlyThese(t, w, two, filepath.Join(two, "sub/b.py"))
	if got, want := w.fs.WatchList(), []string{two, filepath.Join(two, "sub")}; !slices.Equal(sorted(got), want) {
		t.Errorf("watches are left: %q, want %q", got, want)
	}
	w.SetRoots([]string{two, one, one + "/sub/.."})
	write(t, filepath.Join(one, "sub/a.py"), "third")
	onlyThese(t, w, one, filepath.Join(one, "sub/a.py"))
	w.SetRoots(nil)
	if got := w.fs.WatchList(); len(got) > 0 {
		t.Errorf("watches are left: %q", got)
	}
}

// The folders above a root that is not there are listened to only until it is.
func TestFoldersAboveRootsAreLeftAloneOnceTheRootsAreThere(t *testing.T) {
	dir := project(t)
	root := filepath.Join(dir, "a/b/root")
	w := start(t, root)
	if got := w.fs.WatchList(); !slices.Equal(got, []string{dir}) {
		t.Errorf("got %q, want %q", got, dir)
	}
	write(t, filepath.Join(root, "a.py"), "first")
	seen(t, w, filepath.Join(root, "a.py"))
	if got := w.fs.WatchList(); !slices.Equal(got, []string{root}) {
		t.Errorf("got %q, want %q", got, root)
	}
}

// A change of a file that was seen before the roots change, and not yet told, is told.
func TestSetRootsLosesNothing(t *testing.T) {
	dir := project(t, "a.py", "b.py")
	w := start(t, dir)
	for range 20 {
		write(t, filepath.Join(dir, "a.py"), "second")
		must(t, os.Remove(filepath.Join(dir, "b.py")))
		w.SetRoots([]string{dir, filepath.Join(dir, "b.py")})
		w.SetRoots([]string{dir})
		seen(t, w, filepath.Join(dir, "a.py"), filepath.Join(dir, "b.py"))
		write(t, filepath.Join(dir, "b.py"), "third")
		seen(t, w, filepath.Join(dir, "b.py"))
	}
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}
