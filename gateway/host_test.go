//go:build cgo

package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/pyhost"
)

// CPython starts once in a process and never leaves it: tests that need one run this program again as a child, which does what hostJob says.

const hostVariable = "GATEWAY_TEST_HOST"

func TestMain(m *testing.M) {
	text := os.Getenv(hostVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var job hostJob
	err := json.Unmarshal([]byte(text), &job)
	if err == nil {
		err = job.run()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// hostJob is a server with a real host, in a child. It writes its address, then a line for each thread that is lost and each time that the GIL
// is held. It reads "stacks", answered by them as JSON, "load" and "shutdown", and ends when there is nothing more to read.
type hostJob struct {
	Python      pyhost.Python
	Dir         string
	Threads     int
	Count       bool // count allocations instead
	GILTimeout  time.Duration
	Timeout     time.Duration
	LongTimeout time.Duration // of the mount /long
	Queue       time.Duration
	Backlog     int
	SpoolLimit  int64
	AccessLog   string // its format, into nothing
}

func (j *hostJob) run() error {
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	host, err := pyhost.Open(pyhost.Options{
		Python: j.Python, Dir: j.Dir, Threads: j.Threads, Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil)), GILTimeout: j.GILTimeout,
		SpoolLimit: j.SpoolLimit,
		OnStuck:    func(lost int) { say("lost %d", lost) },
		OnGILHeld:  func(d time.Duration) { say("held %v", d) },
	})
	if err != nil {
		return err
	}
	if _, err := host.Load("app"); err != nil {
		return err
	}
	if err := host.Start(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &Server{
		App: host, Mounts: []Mount{{}, {Prefix: "/long", RequestTimeout: j.LongTimeout}}, RequestTimeout: j.Timeout, QueueTimeout: j.Queue,
		Backlog: j.Backlog,
	}
	if j.AccessLog != "" {
		format, err := accesslog.ParseFormat(j.AccessLog)
		if err != nil {
			return err
		}
		s.AccessLog = accesslog.New(io.Discard, accesslog.Options{Format: format})
	}
	go func() { _ = s.Serve(ln) }()
	if j.Count {
		return countAllocations(s, ln)
	}
	say("%v", ln.Addr())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch lines.Text() {
		case "load":
			say("queued %d, connections %d", s.Queued(), s.Connections())
		case "shutdown":
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			say("shutdown %v", s.Shutdown(ctx))
			cancel()
		case "stacks":
			stacks, err := host.Stacks(context.Background())
			if err != nil {
				return err
			}
			text, _ := json.Marshal(stacks)
			say("%s", text)
		}
	}
	return nil
}

// hosted is such a child.
type hosted struct {
	t     *testing.T
	dir   string
	addr  string
	pid   int
	stdin io.WriteCloser
	lines chan string
	logs  *logBuffer
}

// start serves the app of a source text.
func (j hostJob) start(t *testing.T, source string) *hosted {
	t.Helper()
	if j.Python.Library == "" {
		p, err := pyhost.Discover(pyhost.DiscoverOptions{})
		if err != nil {
			t.Skipf("no Python that can be loaded: %v", err)
		}
		j.Python = p
	}
	j.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(j.Dir, "app.py"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	h := &hosted{t: t, dir: j.Dir, lines: make(chan string, 100), logs: &logBuffer{}}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), hostVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = h.logs
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if h.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(h.lines)
		for s := bufio.NewReader(stdout); ; {
			line, err := s.ReadString('\n')
			if err != nil {
				return
			}
			h.lines <- strings.TrimSuffix(line, "\n")
		}
	}()
	t.Cleanup(func() {
		_ = h.stdin.Close()
		kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		for range h.lines {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the child: %v", err)
		}
		if t.Failed() {
			t.Log(h.logs.String())
		}
	})
	h.pid = cmd.Process.Pid
	h.addr = h.line()
	return h
}

// line is the next line that the child wrote.
func (h *hosted) line() string {
	h.t.Helper()
	select {
	case line, ok := <-h.lines:
		if !ok {
			h.t.Fatalf("the child ended:\n%s", h.logs.String())
		}
		return line
	case <-time.After(20 * time.Second):
		h.t.Fatalf("the child says nothing:\n%s", h.logs.String())
	}
	return ""
}

func (h *hosted) wantLine(want string) {
	h.t.Helper()
	if got := h.line(); !strings.HasPrefix(got, want) {
		h.t.Fatalf("the child says %q, want %q", got, want)
	}
}

// command sends one and returns the answer.
func (h *hosted) command(name string) string {
	h.t.Helper()
	if _, err := io.WriteString(h.stdin, name+"\n"); err != nil {
		h.t.Fatal(err)
	}
	return h.line()
}

func (h *hosted) stacks() string {
	h.t.Helper()
	var text string
	if err := json.Unmarshal([]byte(h.command("stacks")), &text); err != nil {
		h.t.Fatal(err)
	}
	return text
}

// waitForLoad waits until so many requests are in the queue, with so many connections open.
func (h *hosted) waitForLoad(queued, connections int) {
	h.t.Helper()
	want := fmt.Sprintf("queued %d, connections %d", queued, connections)
	waitFor(h.t, want, func() bool { return h.command("load") == want })
}

func (h *hosted) dial() *client {
	h.t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	return (&testServer{t: h.t}).client(nc)
}

// ask sends a request on a connection of its own.
func (h *hosted) ask(path string) *client {
	h.t.Helper()
	c := h.dial()
	c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
	return c
}

// entries are the log's entries so far that contain all the texts.
func (h *hosted) entries(texts ...string) (found []string) {
	for line := range bytes.Lines([]byte(h.logs.String())) {
		var e struct{ Msg string }
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		all := true
		for _, text := range texts {
			all = all && strings.Contains(e.Msg, text)
		}
		if all {
			found = append(found, e.Msg)
		}
	}
	return found
}

func (h *hosted) waitForEntry(texts ...string) string {
	h.t.Helper()
	waitFor(h.t, fmt.Sprintf("a log entry with %q", texts), func() bool { return len(h.entries(texts...)) > 0 })
	return h.entries(texts...)[0]
}
