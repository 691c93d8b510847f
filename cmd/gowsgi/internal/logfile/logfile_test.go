package logfile

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const childVariable = "LOGFILE_TEST_CHILD"

// TestMain runs this program as a server that logs to the file, where a test asks for it.
func TestMain(m *testing.M) {
	path := os.Getenv(childVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	w, err := Open(path, RedirectStdio())
	if err != nil {
		os.Exit(1)
	}
	say := func(when string) {
		fmt.Fprintln(w, when, "log")
		fmt.Fprintln(os.Stdout, when, "stdout")
		c := exec.Command("sh", "-c", "echo "+when+" child >&2")
		c.Stderr = os.Stderr
		if err := c.Run(); err != nil {
			fmt.Fprintln(w, err)
		}
	}
	say("before")
	if err := os.Rename(path, path+".1"); err != nil {
		fmt.Fprintln(w, err)
	}
	say("renamed")
	if err := w.Reopen(); err != nil {
		fmt.Fprintln(w, err)
	}
	say("after")
	panic("the text of a crash")
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEverythingThatAProcessWritesIsInTheFileAlsoAfterARotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childVariable+"="+path)
	end := time.AfterFunc(60*time.Second, func() { _ = c.Process.Kill() })
	defer end.Stop()
	out, err := c.CombinedOutput()
	if err == nil || len(out) > 0 {
		t.Errorf("%v; beside the file it wrote %q", err, out)
	}
	want := "before log\nbefore stdout\nbefore child\nrenamed log\nrenamed stdout\nrenamed child\n"
	if got := content(t, path+".1"); got != want {
		t.Errorf("the renamed file has %q", got)
	}
	if got := content(t, path); !strings.HasPrefix(got, "after log\nafter stdout\nafter child\npanic: the text of a crash") {
		t.Errorf("the new file has %q", got)
	}
}

func TestManyWritersAndRotationsLoseAndMixNoLine(t *testing.T) {
	const writers, lines = 8, 400
	path := filepath.Join(t.TempDir(), "a.log")
	var all sync.WaitGroup
	written := make(chan struct{})
	writersOf := [2]*Writer{} // as two processes
	for i := range writersOf {
		w, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		writersOf[i] = w
	}
	for n := range writers {
		all.Go(func() {
			for i := range lines {
				// Longer than a page, so that a torn one shows.
				if _, err := fmt.Fprintf(writersOf[n%2], "%d-%d %s\n", n, i, strings.Repeat("x", 5000)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { all.Wait(); close(written) }()
	names := []string{path}
	for done := false; !done; {
		select {
		case <-written:
			done = true
		default:
		}
		old := fmt.Sprintf("%s.%d", path, len(names))
		if err := os.Rename(path, old); err != nil {
			t.Fatal(err)
		}
		names = append(names, old)
		for _, w := range writersOf {
			if err := w.Reopen(); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[string]bool{}
	for _, name := range names {
		for line := range strings.Lines(content(t, name)) {
			head, rest, _ := strings.Cut(line, " ")
			if rest != strings.Repeat("x", 5000)+"\n" {
				t.Fatalf("%s: a torn line of %d bytes: %.40q", name, len(line), line)
			}
			seen[head] = true
		}
	}
	if len(seen) != writers*lines {
		t.Errorf("%d of %d lines are there", len(seen), writers*lines)
	}
}

func TestAReopenThatFailsKeepsTheFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.log")
	w, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := w.Reopen(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	fmt.Fprintln(w, "still here")
	if got := content(t, filepath.Join(dir+".old", "a.log")); got != "still here\n" {
		t.Errorf("%q", got)
	}
}

func TestAFileIsAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	for range 2 {
		w, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(w, "a line")
	}
	if got := content(t, path); got != "a line\na line\n" {
		t.Errorf("%q", got)
	}
}

func TestAFolderThatIsNotThereIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "a.log")
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}
