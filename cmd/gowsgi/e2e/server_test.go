package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// options of one server. The zero value serves wsgi.py of the folder on a free port.
type options struct {
	spec     string   // default "wsgi"
	args     []string // further arguments
	env      []string
	unix     bool           // bind a unix socket instead of a port
	noDir    bool           // no --chdir: the server's working directory is the app's folder
	exit     int            // expected exit code
	signal   syscall.Signal // that stops it, default SIGTERM; -1: the test stops it
	leftover bool           // the app may leave processes behind: the test ends them
	crash    bool           // the app crashes the process
}

// server is a gowsgi process.
type server struct {
	network, addr string
	pid           int    // of its only worker
	dir           string // for files of the test
	opts          options
	name          string
	cmd           *exec.Cmd
	log           serverLog
	exited        chan struct{} // closed after Wait
	stopOnce      sync.Once
	problems      []string
}

// serverLog collects the lines that a server writes.
type serverLog struct {
	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced at each line
	ended   chan struct{} // closed at the end
}

func (l *serverLog) read(r io.Reader) {
	b := bufio.NewReader(r)
	for {
		line, err := b.ReadString('\n')
		l.mu.Lock()
		if line != "" {
			l.lines = append(l.lines, strings.TrimSuffix(line, "\n"))
		}
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
		if err != nil {
			close(l.ended)
			return
		}
	}
}

// all gives the lines so far; they are only ever added to.
func (l *serverLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clip(l.lines)
}

// find waits for a line that matches, up to d.
func (l *serverLog) find(re *regexp.Regexp, d time.Duration) (string, bool) {
	deadline := time.After(d)
	for seen := 0; ; {
		ended := false
		select {
		case <-l.ended:
			ended = true // before the lines are read, so that none is missed
		default:
		}
		l.mu.Lock()
		lines, changed := l.lines[seen:], l.changed
		l.mu.Unlock()
		seen += len(lines)
		for _, line := range lines {
			if re.MatchString(line) {
				return line, true
			}
		}
		if ended {
			return "", false
		}
		select {
		case <-changed:
		case <-l.ended:
		case <-deadline:
			return "", false
		}
	}
}

var (
	listening = regexp.MustCompile(`https?://127\.0\.0\.1:([1-9]\d*)|unix:(/\S+\.sock)`)
	crashText = regexp.MustCompile(`^(panic:|fatal error:|goroutine \d+ |Fatal Python error|SIG[A-Z]+: |runtime: |.*ERROR: AddressSanitizer|.*runtime error: |` +
		`Exception ignored in|WARNING: DATA RACE|.*Segmentation fault)`)
)

// command makes the gowsgi command with an environment that holds nothing of the tester's own.
func command(args ...string) *exec.Cmd {
	c := exec.Command(binary, args...)
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if name != "VIRTUAL_ENV" && (!strings.HasPrefix(name, "PYTHON") || name == "PYTHONMALLOC") && !strings.HasPrefix(name, "GOWSGI_") && !strings.HasPrefix(name, "LC_") && name != "LANG" {
			c.Env = append(c.Env, kv)
		}
	}
	c.Env = append(c.Env, "PYTHONDONTWRITEBYTECODE=1", "LANG=C.UTF-8")
	return c
}

func appDir(app string) string { return filepath.Join(root, "testdata", "apps", app) }

// launch starts a server and waits until it listens. The caller stops it.
func launch(app string, o options) (*server, error) {
	s, err := newServer(app, o)
	if err != nil {
		return nil, err
	}
	bind := "127.0.0.1:0"
	if o.unix {
		bind = "unix:" + filepath.Join(s.dir, "s.sock")
	}
	spec := o.spec
	if spec == "" {
		spec = "wsgi"
	}
	args := append([]string{"serve", "--bind", bind, "--workers", "1"}, python.args...)
	if !o.noDir {
		args = append(args, "--chdir", appDir(app))
	}
	args = append(append(args, o.args...), spec)
	dir := ""
	if o.noDir {
		dir = appDir(app)
	}
	if err := s.run(dir, args); err != nil {
		return nil, err
	}
	s.pid = s.workers()[0]
	return s, nil
}

func newServer(name string, o options) (*server, error) {
	s := &server{opts: o, name: name, exited: make(chan struct{})}
	s.log.changed, s.log.ended = make(chan struct{}), make(chan struct{})
	var err error
	s.dir, err = os.MkdirTemp(tmp, "server-")
	return s, err
}

// run starts the command in a folder and waits until it listens.
func (s *server) run(dir string, args []string) error {
	s.prepare(dir, args)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	s.cmd.Stdout, s.cmd.Stderr = w, w
	return s.begin(r, w)
}

func (s *server) prepare(dir string, args []string) {
	s.cmd = command(args...)
	s.cmd.Dir = dir
	s.cmd.Env = append(s.cmd.Env, s.opts.env...)
}

// begin starts the prepared command, which writes to w what can be read from r, and waits until it listens. It closes w.
func (s *server) begin(r io.Reader, w io.Closer) error {
	err := s.cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	go s.log.read(r)
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	line, ok := s.log.find(listening, 30*time.Second)
	if !ok {
		s.kill()
		return fmt.Errorf("%s does not listen:\n%s", strings.Join(s.cmd.Args, " "), s.tail(60))
	}
	m := listening.FindStringSubmatch(line)
	s.network, s.addr = "tcp", "127.0.0.1:"+m[1]
	if m[2] != "" {
		s.network, s.addr = "unix", m[2]
	}
	return nil
}

// start starts a server for this test alone, which is stopped and checked at its end.
func start(t testing.TB, app string, o options) *server {
	t.Helper()
	s, err := launch(app, o)
	if err != nil {
		t.Fatal(err)
	}
	s.stopAtEnd(t)
	return s
}

func (s *server) stopAtEnd(t testing.TB) {
	t.Cleanup(func() {
		for _, p := range s.stop() {
			t.Error(p)
		}
		s.tailOnFailure(t)
	})
}

var sharedServers = struct {
	sync.Mutex
	m map[string]func() (*server, error)
}{m: map[string]func() (*server, error){}}

// shared gives the server of an app folder, started by the first test that asks and stopped after the last test.
func shared(t testing.TB, app string, args ...string) *server {
	t.Helper()
	key := strings.Join(append([]string{app}, args...), " ")
	sharedServers.Lock()
	get := sharedServers.m[key]
	if get == nil {
		get = sync.OnceValues(func() (*server, error) { return launch(app, options{args: args}) })
		sharedServers.m[key] = get
	}
	sharedServers.Unlock()
	s, err := get()
	if err != nil {
		t.Fatal(err)
	}
	if !s.running() {
		t.Fatalf("the server of %s has ended (%v):\n%s", app, s.cmd.ProcessState, s.tail(40))
	}
	t.Cleanup(func() { s.tailOnFailure(t) })
	return s
}

func stopShared() (problems []string) {
	for _, get := range sharedServers.m {
		if s, err := get(); err == nil {
			problems = append(problems, s.stop()...)
		}
	}
	return problems
}

func (s *server) running() bool {
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

func (s *server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (s *server) signalWorker(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(s.pid, sig); err != nil {
		t.Fatal(err)
	}
}

// kill ends the master and the workers.
func (s *server) kill() {
	for _, pid := range append(s.workers(), s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-s.exited
}

// workers are the pids of the worker processes.
func (s *server) workers() (pids []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.cmd.Process.Pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, field := range strings.Fields(string(b)) {
			name, _ := os.ReadFile("/proc/" + field + "/cmdline")
			if pid, err := strconv.Atoi(field); err == nil && !strings.HasPrefix(string(name), "gowsgi: template") {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// waitExit waits for the process to end by itself and returns its exit code, -1 where a signal ended it.
func (s *server) waitExit(t testing.TB) int {
	t.Helper()
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Signal(syscall.SIGABRT) // for the stacks
		s.log.find(regexp.MustCompile("^rip|^eflags"), 5*time.Second)
		s.kill()
		t.Fatalf("the server of %s did not end within 30 s:\n%s", s.name, s.tail(200))
	}
	return s.cmd.ProcessState.ExitCode()
}

// stop ends the server and says what was wrong with its end.
func (s *server) stop() []string {
	s.stopOnce.Do(func() {
		add := func(format string, args ...any) {
			s.problems = append(s.problems, fmt.Sprintf("server of %s: ", s.name)+fmt.Sprintf(format, args...))
		}
		sig := s.opts.signal
		if sig == 0 {
			sig = syscall.SIGTERM
		}
		if s.running() && sig > 0 {
			_ = s.cmd.Process.Signal(sig)
		}
		select {
		case <-s.exited:
		case <-time.After(40 * time.Second):
			_ = s.cmd.Process.Signal(syscall.SIGABRT)
			s.log.find(regexp.MustCompile("^rip"), 5*time.Second)
			s.kill()
			add("did not end within 40 s of %v:\n%s", sig, s.tail(200))
			return
		}
		if !s.opts.leftover {
			if left := sessionProcesses(s.cmd.Process.Pid); len(left) > 0 && !within(20*time.Second, func() bool { left = sessionProcesses(s.cmd.Process.Pid); return len(left) == 0 }) {
				add("left processes behind: %s", strings.Join(left, ", "))
				for _, p := range left {
					if pid, err := strconv.Atoi(strings.Fields(p)[0]); err == nil {
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			}
		}
		select {
		case <-s.log.ended:
		case <-time.After(20 * time.Second):
			if !s.opts.leftover {
				add("its log has no end: something still holds it open")
			}
		}
		if s.opts.crash {
			return
		}
		if code := s.cmd.ProcessState.ExitCode(); code != s.opts.exit {
			add("ended with %v, expected exit code %d:\n%s", s.cmd.ProcessState, s.opts.exit, s.tail(60))
		}
		if line, ok := s.log.find(crashText, 0); ok {
			add("a crash in its log: %s\n%s", line, s.tail(60))
		}
	})
	return s.problems
}

func (s *server) tail(n int) string {
	lines := s.log.all()
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return "\t| " + strings.Join(lines, "\n\t| ")
}

func (s *server) tailOnFailure(t testing.TB) {
	if t.Failed() {
		t.Logf("end of the log of %s:\n%s", s.name, s.tail(40))
	}
}

// waitLog waits for a line that holds text.
func (s *server) waitLog(t testing.TB, text string) string {
	t.Helper()
	line, ok := s.log.find(regexp.MustCompile(regexp.QuoteMeta(text)), 20*time.Second)
	if !ok {
		t.Fatalf("%q does not come in the log:\n%s", text, s.tail(40))
	}
	return line
}

// countLog counts the lines so far that hold text.
func (s *server) countLog(text string) (n int) {
	for _, line := range s.log.all() {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// runToEnd runs a command that should end by itself and returns what it wrote and its exit code.
func runToEnd(t testing.TB, c *exec.Cmd) (output string, code int) {
	t.Helper()
	done := time.AfterFunc(60*time.Second, func() { _ = c.Process.Kill() })
	defer done.Stop()
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), c.ProcessState.ExitCode()
}

var tokens = struct {
	sync.Mutex
	n int
}{}

// token is a text that no other request has.
func token() string {
	tokens.Lock()
	defer tokens.Unlock()
	tokens.n++
	return fmt.Sprintf("t%dx", tokens.n)
}

// gate is the name of a file that does not exist; open makes it. It outlives the test: requests that wait for it may run until the server
// stops.
func gate(t testing.TB) (path string, open func()) {
	path = filepath.Join(tmp, "gate-"+token())
	return path, sync.OnceFunc(func() {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Error(err)
		}
	})
}
