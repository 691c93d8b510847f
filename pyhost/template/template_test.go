//go:build cgo

package template

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/pyhost"
)

func TestWorkersOfOneImportServeUnderTheirOwnNames(t *testing.T) {
	forEachPython(t, func(t *testing.T, p pyhost.Python) {
		s := newSite(t, p, answering(`
import os, random, ssl, threading
import gowsgi
imported_by = os.getpid()
print('imported')
ran = []
@gowsgi.postfork
def reopen():
    assert threading.current_thread() is threading.main_thread() and threading.get_native_id() == os.getpid()
    ran.append(os.getpid())
forked = []
os.register_at_fork(after_in_child=lambda: forked.append(os.getpid()))
`, "dict(pid=os.getpid(), ran=ran == [os.getpid()], forked=forked == [os.getpid()], template=imported_by, parent=os.getppid(), "+
			"group=os.getpgrp(), thread=threading.current_thread().name.rstrip('0123456789'), random=random.random(), "+
			"ssl=ssl.RAND_bytes(8).hex())"))
		tpl := s.start()
		random := map[string]bool{}
		for i := range 4 {
			name := fmt.Sprint("gowsgi: worker ", i+1)
			w := s.fork(tpl, name)
			a := w.open()
			if a.Error != "" || len(a.Args) != 1 || a.Args[0] != name || len(a.Apps) != 1 || a.Apps[0] != 0 || fmt.Sprint(a.Specs) != "[app]" {
				t.Fatalf("%+v\n%s", a, s.said())
			}
			shown, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", w.pid))
			if err != nil || string(bytes.TrimRight(shown, "\x00")) != name {
				t.Errorf("ps would show %q, %v", shown, err)
			}
			text := w.get("/")
			want := fmt.Sprintf("{'pid': %d, 'ran': True, 'forked': True, 'template': %d, 'parent': %d, 'group': %d, 'thread': 'gowsgi-', ",
				w.pid, tpl.Pid(), os.Getpid(), w.pid)
			rest, ok := strings.CutPrefix(text, want)
			if !ok {
				t.Errorf("%s, want %s", text, want)
			}
			for _, r := range regexp.MustCompile(`: ([^,}]+)`).FindAllString(rest, -1) {
				random[r] = true
			}
			defer w.end()
		}
		if len(random) != 8 {
			t.Errorf("random numbers of 4 workers: %v", random)
		}
		if n := strings.Count(s.said(), "imported\n"); n != 1 {
			t.Errorf("%d imports: %s", n, s.said())
		}
	})
}

func TestSeveralAppsKeepTheirNumbers(t *testing.T) {
	s := newSite(t, anyPython(t), "def a(environ, start_response):\n    start_response('200 OK', [])\n    return [b'a']\n"+
		"def make():\n    n = object()\n    def made(environ, start_response):\n        start_response('200 OK', [])\n"+
		"        return [str(id(n)).encode()]\n    return made\n")
	s.options.Apps = []App{{"", "app:a"}, {"/x", "app:make()"}, {"/y", "app:make()"}}
	w := s.fork(s.start(), "w")
	if a := w.open(); a.Error != "" || fmt.Sprint(a.Apps, a.Specs) != "[0 1 2] [app:a app:make() app:make()]" {
		t.Fatalf("%+v", a)
	}
	x, y := w.ask(question{Get: "/", App: 1}), w.ask(question{Get: "/", App: 2})
	if a := w.get("/"); a != "a" || x.Text == y.Text || x.Error+y.Error != "" {
		t.Errorf("%q %+v %+v", a, x, y)
	}
	w.end()
}

// memory gives a figure of a process's smaps_rollup, in KiB.
func memory(t *testing.T, pid int, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(name + `:\s+(\d+)`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %s", name, text)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhatTheImportMadeIsSharedAndStaysSoWhenGarbageIsCollected(t *testing.T) {
	const data = 60 << 10 // KiB, at least
	forEachPython(t, func(t *testing.T, p pyhost.Python) {
		s := newSite(t, p, answering("import gc\nbefore = gc.get_threshold()\ndata = [[] for _ in range(1000000)]\n",
			"(gc.collect() >= 0, gc.isenabled(), gc.get_threshold()[0] > 0, before[0])"))
		tpl := s.start()
		shared, whole := 0, 0
		for i := range 4 {
			w := s.forkOpen(tpl, fmt.Sprint("w", i))
			if text := w.get("/"); text != "(True, True, True, 0)" {
				t.Errorf("the collector: %s", text)
			}
			if n := memory(t, w.pid, "Private_Dirty"); n > data/2 {
				t.Errorf("a worker has %d KiB of its own", n)
			}
			shared += memory(t, w.pid, "Pss")
			whole += memory(t, w.pid, "Rss")
			defer w.end()
		}
		if shared > whole*6/10 {
			t.Errorf("four workers have %d KiB, which is more than 0.6 of what they would have without sharing, %d KiB", shared, whole)
		}
	})
}

func TestAWorkersEndIsSeenByTheProcessThatStartedTheTemplate(t *testing.T) {
	s := newSite(t, anyPython(t), answering("import os", "os.getpid()"))
	tpl := s.start()
	w, other := s.forkOpen(tpl, "w1"), s.forkOpen(tpl, "w2")
	if err := syscall.Kill(w.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if status := w.wait(); !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Errorf("the worker ended with %#x", status)
	}
	if text := other.get("/"); text != strconv.Itoa(other.pid) {
		t.Error(text)
	}
	third := s.forkOpen(tpl, "w3")
	third.end()
	other.end()
}

func TestWorkersOutliveTheTemplate(t *testing.T) {
	s := newSite(t, anyPython(t), answering("import os", "os.getpid()"))
	tpl := s.start()
	w := s.forkOpen(tpl, "w1")
	if err := syscall.Kill(tpl.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-tpl.Done():
	case <-time.After(patience):
		t.Fatal("Done was not closed")
	}
	r, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := tpl.Fork(s.context(), "w2", []uintptr{r.Fd(), r.Fd()}); err == nil || !strings.Contains(err.Error(), "has ended: signal: killed") {
		t.Errorf("Fork returned %v", err)
	}
	if text := w.get("/"); text != strconv.Itoa(w.pid) {
		t.Error(text)
	}
	w.end()
}

func TestStopEndsTheTemplateAndNotTheWorkers(t *testing.T) {
	s := newSite(t, anyPython(t), answering("import atexit, os, signal\natexit.register(lambda: print('atexit', os.getpid(), flush=True))\n"+
		"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n", "os.getpid()"))
	child := 0
	s.options.Child = func(start func() (int, error)) (err error) {
		child, err = start()
		return err
	}
	tpl := s.start()
	if child != tpl.Pid() {
		t.Errorf("Child was told %d of the template %d", child, tpl.Pid())
	}
	w := s.forkOpen(tpl, "w1")
	tpl.Stop()
	if err := syscall.Kill(tpl.Pid(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the template is there: %v", err)
	}
	if text := w.get("/"); text != strconv.Itoa(w.pid) {
		t.Error(text)
	}
	w.end()
	if got, want := s.said(), fmt.Sprintf("atexit %d\n", w.pid); got != want {
		t.Errorf("atexit handlers ran in the template, or not in the worker: %q, want %q", got, want)
	}
}

func TestAForkThatDoesNotEndInTimeEndsTheTemplate(t *testing.T) {
	s := newSite(t, anyPython(t), answering("import os, time\nos.register_at_fork(before=lambda: time.sleep(100))", "1"))
	tpl := s.start()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	r, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := tpl.Fork(ctx, "w1", []uintptr{r.Fd(), r.Fd()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Fork returned %v", err)
	}
	<-tpl.Done()
	if _, err := tpl.Fork(s.context(), "w1", []uintptr{r.Fd()}); err == nil {
		t.Error("a template that was ended forked")
	}
}

// descriptors is how many a process has open.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	files, err := os.ReadDir("/proc/" + itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestAWrongNumberOfFilesIsRefusedAndTheTemplateLivesOn(t *testing.T) {
	s := newSite(t, anyPython(t), answering("import os", "os.getpid()"))
	tpl := s.start()
	r, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	before := descriptors(t, tpl.Pid())
	if _, err := tpl.Fork(s.context(), "w1", []uintptr{r.Fd()}); err == nil || !strings.Contains(err.Error(), "1 descriptors came, 2 were announced") {
		t.Errorf("Fork returned %v", err)
	}
	eventually(t, "it closes what came", func() bool { return descriptors(t, tpl.Pid()) == before })
	s.forkOpen(tpl, "w1").end()
}

func TestWithoutTheProcessThatStartedItATemplateEndsAndItsWorkersCanTell(t *testing.T) {
	// Orphans come to this process then.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, anyPython(t), answering("", "1"))
	cmd, out := startMaster(t, s)
	var template, worker int
	_, err := fmt.Fscan(out, &template, &worker)
	if kill := cmd.Process.Kill(); err != nil || kill != nil {
		t.Fatal(err, kill)
	}
	_, _ = cmd.Process.Wait()
	for _, pid := range []int{template, worker} {
		if status := orphan(t, pid); !status.Exited() || status.ExitStatus() != 0 {
			t.Errorf("process %d ended with %#x", pid, status)
		}
	}
}

func TestWithoutTheProcessThatStartedItATemplateThatImportsEnds(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, anyPython(t), "import os, signal, time\nfor s in range(1, 32):\n    if s not in (9, 19): signal.signal(s, signal.SIG_IGN)\n"+
		"open('new', 'w').write(str(os.getpid())); os.rename('new', 'pid')\ntime.sleep(1000)\n")
	cmd, _ := startMaster(t, s)
	pid := 0
	eventually(t, "the import began", func() bool {
		text, err := os.ReadFile(filepath.Join(s.options.Dir, "pid"))
		pid, _ = strconv.Atoi(string(text))
		return err == nil
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = cmd.Process.Wait()
	if status := orphan(t, pid); !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Errorf("the template ended with %#x", status)
	}
}

// startMaster starts a process that starts a template.
func startMaster(t *testing.T, s *site) (*exec.Cmd, io.Reader) {
	t.Helper()
	text, err := json.Marshal(masterJob{s.options.Python, s.options.Dir})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), masterVariable+"="+string(text))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, out
}

// orphan waits for the end of a process whose parent has ended.
func orphan(t *testing.T, pid int) (status syscall.WaitStatus) {
	t.Helper()
	eventually(t, "the process ended", func() bool {
		ended, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		return ended == pid && err == nil
	})
	return status
}

func TestModulesOfTheProgramAreThereBeforeTheAppAndInTheWorkers(t *testing.T) {
	s := newSite(t, anyPython(t), answering("import first\n", "first.notes"))
	s.options.Modules = []pyhost.Module{{Name: "first", Text: "notes = []\ndef note(text):\n    notes.append(text)\n    return ''\n"}}
	s.options.Calls = []Call{{"first.note", "one"}, {"first.note", "zwölf"}}
	w := s.forkOpen(s.start(), "w")
	if got := w.get("/"); got != "['one', 'zwölf']" {
		t.Error(got)
	}
	w.end()
}

func TestACallThatRaisesIsAFailedStart(t *testing.T) {
	s := newSite(t, anyPython(t), answering("", "0"))
	s.options.Modules = []pyhost.Module{{Name: "first", Text: "def f(text):\n    raise ValueError(text)\n"}}
	s.options.Calls = []Call{{"first.f", "why"}}
	if e := s.refused(); e.Spec != "first.f" || e.Reason != "why" || !strings.Contains(e.Traceback, "ValueError: why") {
		t.Errorf("%+v", e)
	}
}

func TestWorkersKeepStandardInputWhereThatIsWanted(t *testing.T) {
	before, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	input, err := os.Create(filepath.Join(t.TempDir(), "input"))
	if err == nil {
		err = unix.Dup3(int(input.Fd()), 0, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = unix.Dup3(before, 0, 0)
		_ = unix.Close(before)
		_ = input.Close()
	}()
	for _, keep := range []bool{true, false} {
		s := newSite(t, anyPython(t), answering("import os\n", "os.readlink('/proc/self/fd/0')"))
		s.options.Stdin = keep
		w := s.forkOpen(s.start(), "w")
		if got := w.get("/"); keep != (got == input.Name()) {
			t.Errorf("%v: %s", keep, got)
		}
		w.end()
	}
}
