package watch

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// limited runs the test again in a user namespace of its own, with a limit of inotify's. It tells whether this is that run.
func limited(t *testing.T, limit, value string) bool {
	t.Helper()
	const mark = "GOWSGI_TEST_LIMITED"
	file := "/proc/sys/user/max_inotify_" + limit
	if os.Getenv(mark) == t.Name() {
		must(t, os.WriteFile(file, []byte(value), 0))
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		t.Skipf("this machine allows no user namespaces: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func TestAtTheLimitOfWatchesItWarnsOnceAndGoesOn(t *testing.T) {
	if !limited(t, "watches", "3") {
		return
	}
	dir := project(t, "app.py", "a/a.py", "b/b.py", "c/c.py", "a/deep/d.py")
	var log bytes.Buffer
	w, err := New(Options{Roots: []string{dir}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	defer w.Close()
	for _, name := range []string{"app.py", "a/a.py", "b/b.py"} {
		write(t, filepath.Join(dir, name), "second")
		onlyThese(t, w, dir, filepath.Join(dir, name))
	}
	write(t, filepath.Join(dir, "c/c.py"), "second")
	write(t, filepath.Join(dir, "new/n.py"), "second")
	onlyThese(t, w, dir)
	w.Close()
	if text := log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "changes are seen in 3 of them") ||
		!strings.Contains(text, "sudo sysctl fs.inotify.max_user_watches=") {
		t.Errorf("got %s", text)
	}
}

func TestWithoutAnotherInstanceOfInotifyTheErrorSaysWhatToDo(t *testing.T) {
	if !limited(t, "instances", "1") {
		return
	}
	start(t)
	if w, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "sudo sysctl fs.inotify.max_user_instances=") {
		t.Errorf("got %v, %v", w, err)
	}
}

func TestWhenTheKernelsQueueOverflowsItSaysSoAndSeesWhatIsNew(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	must(t, err)
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	if limit > 1<<18 {
		t.Skipf("this machine's queue is too long to be filled: %d", limit)
	}
	dir := project(t, "a.py", "b.py", "old/c.py")
	w := start(t, dir)
	release := hold(w)
	a, errA := os.OpenFile(filepath.Join(dir, "a.py"), os.O_WRONLY, 0)
	b, errB := os.OpenFile(filepath.Join(dir, "b.py"), os.O_WRONLY, 0)
	must(t, errA)
	must(t, errB)
	for range limit/2 + 10000 { // beyond the queue, what fsnotify reads at once
		_, errA = a.WriteAt([]byte("x"), 0)
		_, errB = b.WriteAt([]byte("x"), 0)
		must(t, errA)
		must(t, errB)
	}
	must(t, a.Close())
	must(t, b.Close())
	must(t, os.Rename(filepath.Join(dir, "old"), filepath.Join(dir, "moved")))
	write(t, filepath.Join(dir, "new/deep/d.py"), "first") // without an event
	release()
	for deadline, told := time.After(patience), false; !told; {
		select {
		case c := <-w.Changes():
			told = c.Overflow
		case <-deadline:
			t.Fatal("the overflow was not told")
		}
	}
	folders := make(chan int)
	w.do <- func() { folders <- len(w.folders) }
	if n := <-folders; n != 4 {
		t.Errorf("%d folders are watched, want the root, moved, new and new/deep", n)
	}
	for _, name := range []string{"a.py", "new/deep/d.py", "moved/c.py"} {
		write(t, filepath.Join(dir, name), "second")
		seen(t, w, filepath.Join(dir, name))
	}
}

func TestCloseLeavesNoGoroutineAndNoDescriptor(t *testing.T) {
	dir := project(t, "a/app.py", "b/app.py")
	goroutines, fds := runtime.NumGoroutine(), len(descriptors(t))
	for range 20 {
		w, err := New(Options{Roots: []string{dir}})
		must(t, err)
		write(t, filepath.Join(dir, "a/app.py"), "second") // told to nobody
		go w.SetRoots([]string{filepath.Join(dir, "a")})
		w.Close()
		w.Close()
		w.SetRoots([]string{dir})
		for range w.Changes() {
			t.Error("something is told after Close")
		}
	}
	end := time.Now().Add(patience)
	for runtime.NumGoroutine() > goroutines && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	if n := len(descriptors(t)); n > fds {
		t.Errorf("%d descriptors, %d before", n, fds)
	}
}

// What is watched does nothing while nothing changes: the process is never run, but for what Go itself does.
func TestAtRestItTakesNoTime(t *testing.T) {
	dir := project(t, "a/app.py", "b/app.py")
	w := start(t, dir, filepath.Join(dir, "missing/folder"))
	write(t, filepath.Join(dir, "a/app.py"), "second")
	seen(t, w, filepath.Join(dir, "a/app.py"))
	used := func() time.Duration {
		var u unix.Rusage
		must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	least := time.Second
	for range 3 { // a second in which the runtime did nothing of its own is among them
		before := used()
		select {
		case c := <-w.Changes():
			t.Errorf("got %q", c.Paths)
		case <-time.After(time.Second):
		}
		least = min(least, used()-before)
	}
	if least > 20*time.Millisecond {
		t.Errorf("it took %s of a second", least)
	}
}
