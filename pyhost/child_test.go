//go:build cgo

package pyhost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// CPython starts once in a process, so each test that needs one runs this test program again as a child, which does what childJob says.

const childVariable = "PYHOST_TEST_CHILD"

// childJob is what a child does: open a host, load the apps, and then one of the childActions.
type childJob struct {
	Python Python
	Args   []string
	Dir    string
	Apps   []string
	Action string

	Modules []Module
}

func TestMain(m *testing.M) {
	text := os.Getenv(childVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	os.Unsetenv(childVariable)
	var job childJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		panic(err)
	}
	os.Exit(job.run())
}

// Exit codes of a child.
const (
	childOpenFailed = 90 + iota
	childLoadFailed
	childActionFailed
)

func (j *childJob) run() int {
	h, err := Open(Options{
		Python: j.Python, Args: j.Args, Dir: j.Dir, Threads: 2, Modules: j.Modules,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		fmt.Println(err)
		return childOpenFailed
	}
	failed := false
	for _, app := range j.Apps {
		if _, err := h.Load(app); err != nil {
			var e *AppError
			if !errors.As(err, &e) {
				panic(err)
			}
			text, _ := json.Marshal(e)
			fmt.Printf("%s\n", text)
			failed = true
		}
	}
	if failed {
		return childLoadFailed
	}
	if j.Action == "" {
		return 0
	}
	if err := h.Start(); err != nil {
		fmt.Println(err)
		return childActionFailed
	}
	if err := childActions[j.Action](h); err != nil {
		fmt.Println(err)
		return childActionFailed
	}
	return 0
}

// sinkFunc waits for Done.
type sinkFunc func(Exchange)

func (f sinkFunc) ExchangeReady(x Exchange) { f(x) }

// get sends one request to an app and returns the body.
func get(h *Host, app int, path string) (string, error) {
	x := h.NewExchange()
	var rec []byte
	for _, kv := range [][2]string{
		{"REQUEST_METHOD", "GET"}, {"SCRIPT_NAME", ""}, {"PATH_INFO", path}, {"RAW_URI", path}, {"QUERY_STRING", ""}, {"SERVER_NAME", "x"},
		{"SERVER_PORT", "80"}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"wsgi.url_scheme", "http"},
	} {
		rec = AppendPair(rec, kv[0], kv[1])
	}
	var body bytes.Buffer
	var out Output
	done := make(chan bool, 1)
	ended := false
	if err := x.Submit(&Request{App: app, Environ: rec}, sinkFunc(func(x Exchange) {
		if ended {
			return
		}
		out.Chunks = out.Chunks[:0]
		x.Take(&out)
		for _, c := range out.Chunks {
			body.Write(c.Data)
		}
		x.Sent(len(out.Chunks))
		if out.Done {
			ended = true
			done <- out.Failed
		}
	})); err != nil {
		return "", err
	}
	select {
	case failed := <-done:
		x.Release()
		if failed {
			return body.String(), errors.New("the app failed")
		}
		return body.String(), nil
	case <-time.After(20 * time.Second):
		return "", errors.New("no answer in 20 s")
	}
}

// childActions are run after Start.
var childActions = map[string]func(h *Host) error{
	// get prints the answer to one request.
	"get": func(h *Host) error {
		defer h.writeLog()
		body, err := get(h, 0, "/some/path")
		fmt.Println(body)
		return err
	},
	// get, then info: all that signal handlers had to say was said.
	"get, info": func(h *Host) error {
		if body, err := get(h, 0, "/"); err != nil {
			return fmt.Errorf("%s: %w", body, err)
		}
		h.Info()
		h.writeLog()
		return nil
	},
	"info": func(h *Host) error {
		text, err := json.Marshal(h.Info())
		fmt.Printf("%s\n", text)
		return err
	},
	"arguments": func(h *Host) error {
		body, err := get(h, 0, "/")
		if err != nil || body != "ZZZ" || strings.HasPrefix(os.Args[0], "ZZZ") {
			return fmt.Errorf("argv is %q, os.Args[0] is %q, %v", body, os.Args[0], err)
		}
		return nil
	},
	"open twice": func(*Host) error {
		if _, err := Open(Options{}); !errors.Is(err, ErrOpen) {
			return fmt.Errorf("the second Open returned %v", err)
		}
		return nil
	},
	// signals sends itself SIGUSR1 and SIGTERM; the app's handlers print.
	"signals": func(h *Host) error {
		terms := make(chan os.Signal, 1)
		signal.Notify(terms, syscall.SIGTERM)
		for range 200 {
			syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		}
		syscall.Kill(os.Getpid(), syscall.SIGTERM)
		select {
		case <-terms:
			fmt.Println("go: SIGTERM")
		case <-time.After(10 * time.Second):
			return errors.New("Go's Notify got no SIGTERM")
		}
		h.HandleSignal(syscall.SIGTERM)
		select {
		case code := <-h.ExitRequested():
			fmt.Println("go: exit", code)
		case <-time.After(10 * time.Second):
			return errors.New("the app's SIGTERM handler asked for no exit")
		}
		// The alarm that the app set may come later than all this.
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			body, err := get(h, 0, "/seen")
			if err != nil {
				return err
			}
			if strings.Contains(body, "ALRM") && strings.Contains(body, "USR1") {
				fmt.Println(body)
				return nil
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("the app's handlers saw %q", body)
			}
		}
	},
	// storm sends SIGUSR1 while goroutines allocate and requests run.
	"storm": func(h *Host) error {
		errs := make(chan error, 4)
		for range 4 {
			go func() {
				var err error
				for i := 0; i < 250 && err == nil; i++ {
					_ = make([]byte, 1<<16)
					_, err = get(h, 0, "/")
				}
				errs <- err
			}()
		}
		for range 4000 {
			syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		}
		var all error
		for range 4 {
			all = errors.Join(all, <-errs)
		}
		return all
	},
	// nil dereference in Go, recovered.
	"go panic": func(*Host) (err error) {
		defer func() {
			if recover() == nil {
				err = errors.New("no panic")
			}
			fmt.Println("recovered")
		}()
		var p *childJob
		p.Action = "x"
		return nil
	},
	"shutdown": func(h *Host) error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		return h.Shutdown(ctx)
	},
	"shutdown, bounded": func(h *Host) error {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		if err := h.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("Shutdown returned %v", err)
		}
		return nil
	},
}

// childResult is what a child left.
type childResult struct {
	stdout, stderr string
	code           int // of the exit, -1 where a signal ended it
	signal         syscall.Signal
}

// start does the job in a child, with these variables on top of a small environment.
func (j childJob) start(t *testing.T, env ...string) childResult {
	t.Helper()
	return j.startIn(t, "", env...)
}

// startIn does it with a current folder.
func (j childJob) startIn(t *testing.T, dir string, env ...string) childResult {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	// Under -race a process would sleep for a second before it ends.
	cmd.Env = append(plainEnvironment(env...), childVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("the child: %v\n%s%s", err, &stdout, &stderr)
	}
	r := childResult{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		r.signal = ws.Signal()
	}
	return r
}

// plainEnvironment is one in which only what a test sets changes how python starts.
func plainEnvironment(more ...string) []string {
	return append([]string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "TMPDIR=" + os.TempDir(), "ASAN_OPTIONS=" + os.Getenv("ASAN_OPTIONS")}, more...)
}

// write makes files of a folder for the test: name, text, name, text.
func write(t *testing.T, namesAndTexts ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(namesAndTexts); i += 2 {
		path := filepath.Join(dir, namesAndTexts[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(namesAndTexts[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// anyPython is one Python for tests that need no matrix: the newest.
func anyPython(t *testing.T) Python {
	t.Helper()
	list := pythonsHere(t)
	return list[len(list)-1]
}

var foundPythons []Python

// pythonsHere are the Pythons that can be loaded, each library once. They are looked for once.
func pythonsHere(t *testing.T) []Python {
	t.Helper()
	if foundPythons == nil {
		for _, p := range loadablePythons(t) {
			if !slices.ContainsFunc(foundPythons, func(q Python) bool { return q.Library == p.Library }) {
				foundPythons = append(foundPythons, p)
			}
		}
	}
	return foundPythons
}

// forEachPython runs a test on every Python that can be loaded.
func forEachPython(t *testing.T, test func(t *testing.T, p Python)) {
	t.Helper()
	for _, p := range pythonsHere(t) {
		t.Run(p.Version+" "+p.Prefix, func(t *testing.T) { test(t, p) })
	}
}
