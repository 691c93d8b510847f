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

func TestAGitCheckoutOfAThousandFilesIsToldWhole(t *testing.T) {
	dir := project(t)
	git := func(args ...string) {
		t.Helper()
		run(t, dir, "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b.example"}, args...)...)
	}
	var files []string
	for i := range 1000 {
		files = append(files, filepath.Join(dir, fmt.Sprintf("app%02d/module%03d.py", i%40, i)))
	}
	slices.Sort(files)
	git("init", "-q", "-b", "main")
	write(t, filepath.Join(dir, "app.py"), "first")
	for _, branch := range []string{"one", "two"} {
		git("checkout", "-q", "-b", branch)
		for _, f := range files {
			write(t, f, branch)
		}
		git("add", ".")
		git("commit", "-q", "-m", branch)
	}
	git("checkout", "-q", "-b", "none")
	git("rm", "-q", "-r", ".")
	write(t, filepath.Join(dir, "app.py"), "first")
	git("add", ".")
	git("commit", "-q", "-m", "none")
	w := start(t, dir)
	for _, branch := range []string{"one", "two", "none", "two"} { // they come, change, go, come back
		git("checkout", "-q", branch)
		onlyThese(t, w, dir, files...)
	}
}

func TestOfFiftySavesInASecondTheLastIsTold(t *testing.T) {
	dir := project(t, "app.py")
	file := filepath.Join(dir, "app.py")
	w := start(t, dir)
	go func() {
		for i := range 50 {
			_ = os.WriteFile(file, fmt.Appendf(nil, "%d", i), 0o644)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	for deadline := time.After(patience); ; {
		select {
		case <-w.Changes():
		case <-deadline:
			t.Fatal("the last content was not told")
		}
		if b, err := os.ReadFile(file); err == nil && string(b) == "49" {
			return
		}
	}
}

// The times of a burst, without waiting for them.
func TestABurstEndsWhenItIsQuietAndIsNotPutOffForEver(t *testing.T) {
	begin := time.Now()
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	for _, test := range []struct {
		name       string
		files, now int // the last event, in ms after the first
		want       int // ms that are left
	}{
		{"one save", 1, 0, 10},
		{"two files", 2, 0, 25},
		{"saves that follow each other", 3, 100, 25},
		{"saves without end", 3, 240, 10},
		{"as many as an editor writes", 50, 0, 25},
		{"a checkout", 51, 0, 100},
		{"a checkout that goes on", 1000, 1500, 100},
		{"a checkout without end", 1000, 1990, 10},
	} {
		b := newBurst()
		b.add("0", false, begin)
		for i := 1; i < test.files; i++ {
			b.add(fmt.Sprint(i), false, at(test.now))
		}
		if got := b.left(at(test.now)); got != time.Duration(test.want)*time.Millisecond {
			t.Errorf("%s: %s are left, want %d ms", test.name, got, test.want)
		}
		b.timer.Stop()
	}
}

func TestTwoThousandFilesTakeOneDescriptorAndAWatchForEachFolder(t *testing.T) {
	dir := project(t)
	for i := range 2000 {
		write(t, filepath.Join(dir, fmt.Sprintf("app%02d/sub%d/module%d.py", i%20, i/20%10, i)), "first")
	}
	before := descriptors(t)
	w := start(t, dir)
	if n := len(w.fs.WatchList()); n != 1+20+200 {
		t.Errorf("%d watches for 221 folders", n)
	}
	inotify := 0
	for fd, what := range descriptors(t) {
		if before[fd] != what && strings.Contains(what, "inotify") {
			inotify++
		}
	}
	if inotify != 1 {
		t.Errorf("%d descriptors of inotify, want 1", inotify)
	}
	for _, name := range []string{"app00/sub0/module0.py", "app19/sub9/module1999.py"} {
		write(t, filepath.Join(dir, name), "second")
		onlyThese(t, w, dir, filepath.Join(dir, name))
	}
}

func descriptors(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	all := map[string]string{}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // else it was the folder's own
			all[e.Name()] = to
		}
	}
	return all
}
