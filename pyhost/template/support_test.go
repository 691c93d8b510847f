//go:build cgo

package template

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/pyhost"
)

// The workers that the tests fork are this test program too: TestMain sees that it was forked from a template.

const patience = 30 * time.Second

func TestMain(m *testing.M) {
	Main(func() int {
		if Adopted() {
			return serve()
		}
		if text := os.Getenv(masterVariable); text != "" {
			return master(text)
		}
		return m.Run()
	})
}

const masterVariable = "TEMPLATE_TEST_MASTER"

type masterJob struct {
	Python pyhost.Python
	Dir    string
}

// master forks one worker, says who they are, and waits to be killed.
func master(text string) int {
	var job masterJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		panic(err)
	}
	t, err := Start(context.Background(), Options{Python: job.Python, Dir: job.Dir, Apps: []App{{"", "app"}}, Files: 2})
	if err != nil {
		panic(err)
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	pid, err := t.Fork(context.Background(), "w", []uintptr{uintptr(fds[1]), uintptr(fds[1])})
	if err != nil {
		panic(err)
	}
	_ = syscall.Close(fds[1])
	fmt.Println(t.Pid(), pid)
	select {}
}

// lines is a log that a test reads.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// site is an app's folder and what runs of it.
type site struct {
	t       *testing.T
	options Options
	log     lines
	output  string // a file: standard output and error of all
}

// newSite writes app.py and makes options for it.
func newSite(t *testing.T, p pyhost.Python, app string) *site {
	t.Helper()
	s := &site{t: t, output: filepath.Join(t.TempDir(), "output")}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(app), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(s.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	s.options = Options{
		Python: p, Dir: dir, Apps: []App{{"", "app"}}, Files: 2, Stdout: out, Stderr: out, Multiprocess: true,
		Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
	return s
}

// said is what was written to standard output and error so far.
func (s *site) said() string {
	text, err := os.ReadFile(s.output)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *site) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// start starts the template.
func (s *site) start() *Template {
	s.t.Helper()
	t, err := Start(s.context(), s.options)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.said())
	}
	s.t.Cleanup(t.Stop)
	return t
}

// refused is the error with which the template ends.
func (s *site) refused() *pyhost.AppError {
	s.t.Helper()
	t, err := Start(s.context(), s.options)
	if err == nil {
		t.Stop()
		s.t.Fatal("the template started")
	}
	var e *pyhost.AppError
	if !errors.As(err, &e) {
		s.t.Fatalf("%T %v\n%s", err, err, s.said())
	}
	return e
}

// worker is a forked worker as its parent sees it.
type worker struct {
	s      *site
	pid    int
	conn   net.Conn
	in     *json.Decoder
	waited bool
	extra  *os.File // the other end of its descriptor 4
}

// fork forks a worker that has not opened its host.
func (s *site) fork(t *Template, name string) *worker {
	s.t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		s.t.Fatal(err)
	}
	r, extra, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	pid, err := t.Fork(s.context(), name, []uintptr{theirs.Fd(), r.Fd()})
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.said())
	}
	w := &worker{s: s, pid: pid, conn: conn, in: json.NewDecoder(conn), extra: extra}
	s.t.Cleanup(func() {
		conn.Close()
		extra.Close()
		if !w.waited {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			w.wait()
		}
	})
	return w
}

// wait waits for the worker's end.
func (w *worker) wait() syscall.WaitStatus {
	w.s.t.Helper()
	var status syscall.WaitStatus
	w.waited = true
	if pid, err := syscall.Wait4(w.pid, &status, 0, nil); pid != w.pid {
		w.s.t.Fatalf("wait4(%d) = %d, %v", w.pid, pid, err)
	}
	return status
}

// end lets the worker end by itself.
func (w *worker) end() {
	w.s.t.Helper()
	w.conn.Close()
	if status := w.wait(); !status.Exited() || status.ExitStatus() != 0 {
		w.s.t.Fatalf("the worker ended with %#x\n%s", status, w.s.said())
	}
}

func (w *worker) ask(q question) answer {
	w.s.t.Helper()
	_ = w.conn.SetDeadline(time.Now().Add(2 * patience))
	if err := json.NewEncoder(w.conn).Encode(q); err != nil {
		w.s.t.Fatalf("%v\n%s", err, w.s.said())
	}
	var a answer
	if err := w.in.Decode(&a); err != nil {
		w.s.t.Fatalf("%v\n%s", err, w.s.said())
	}
	return a
}

// open opens the worker's host and starts it.
func (w *worker) open() answer {
	w.s.t.Helper()
	o := w.s.options
	q := question{Open: true, Python: o.Python, Dir: o.Dir}
	for _, a := range o.Apps {
		q.Specs = append(q.Specs, a.Spec)
	}
	return w.ask(q)
}

// forkOpen forks a worker that serves.
func (s *site) forkOpen(t *Template, name string) *worker {
	s.t.Helper()
	w := s.fork(t, name)
	if a := w.open(); a.Error != "" {
		s.t.Fatalf("%s\n%s", a.Error, s.said())
	}
	return w
}

func (w *worker) get(path string) string {
	w.s.t.Helper()
	a := w.ask(question{Get: path})
	if a.Error != "" {
		w.s.t.Fatalf("%s: %s %s\n%s", path, a.Error, a.Text, w.s.said())
	}
	return a.Text
}

// answering makes an app of an expression.
func answering(setup, expression string) string {
	return setup + "\ndef app(environ, start_response):\n    start_response('200 OK', [])\n    return [str(" + expression + ").encode()]\n"
}

var foundPythons []pyhost.Python

// pythons are those to test with, looked for once: GOWSGI_TEST_PYTHONS, or the oldest and the newest here.
func pythons(t *testing.T) []pyhost.Python {
	t.Helper()
	if foundPythons == nil {
		foundPythons = lookForPythons(t)
	}
	return foundPythons
}

func lookForPythons(t *testing.T) []pyhost.Python {
	t.Helper()
	paths := filepath.SplitList(os.Getenv("GOWSGI_TEST_PYTHONS"))
	chosen := len(paths) > 0
	if !chosen {
		for _, root := range []string{os.Getenv("PYENV_ROOT"), filepath.Join(os.Getenv("HOME"), ".pyenv")} {
			found, err := filepath.Glob(filepath.Join(root, "versions", "3.*", "bin", "python"))
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, found...)
		}
		paths = append(paths, "python3")
	}
	var all []pyhost.Python
	for _, path := range paths {
		if p, err := pyhost.Discover(pyhost.DiscoverOptions{Python: path}); err == nil {
			all = append(all, p)
		} else if chosen {
			t.Fatal(err)
		}
	}
	if len(all) == 0 {
		t.Skip("no CPython with a shared library on this machine")
	}
	if chosen {
		return all
	}
	oldest, newest := all[0], all[0]
	for _, p := range all {
		if minor(p) < minor(oldest) {
			oldest = p
		}
		if minor(p) > minor(newest) {
			newest = p
		}
	}
	if minor(oldest) == minor(newest) || testing.Short() {
		return []pyhost.Python{newest}
	}
	return []pyhost.Python{oldest, newest}
}

func minor(p pyhost.Python) int {
	var n int
	_, _ = fmt.Sscanf(p.Version, "3.%d", &n)
	return n
}

func forEachPython(t *testing.T, f func(t *testing.T, p pyhost.Python)) {
	t.Helper()
	for _, p := range pythons(t) {
		t.Run(p.Version, func(t *testing.T) { f(t, p) })
	}
}

func anyPython(t *testing.T) pyhost.Python {
	t.Helper()
	all := pythons(t)
	return all[len(all)-1]
}

// eventually polls until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

func deadline() time.Time { return time.Now().Add(patience) }
