package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAnAppThatRaisesGets500BeforeTheHeadersAndACutConnectionAfter(t *testing.T) {
	t.Parallel()
	s := shared(t, "raises")
	for _, kind := range []struct{ name, logged string }{
		{"value_error", "ValueError"}, {"stop_iteration", "StopIteration"}, {"system_exit", "SystemExit"}, {"system_exit_3", "SystemExit"},
		{"system_exit_text", "SystemExit"}, {"keyboard_interrupt", "KeyboardInterrupt"}, {"generator_exit", "GeneratorExit"},
		{"memory_error", "MemoryError"}, {"recursion", "RecursionError"}, {"recursion_json", "RecursionError"}, {"bad_str", "BadStr"}, {"os_error", "OSError"},
		{"chained", "ZeroDivisionError"},
	} {
		for _, point := range []string{"before", "started", "first"} {
			if kind.name == "stop_iteration" && point == "first" {
				continue // that is the proper end
			}
			c := s.dial(t)
			r := c.do("GET", "/"+kind.name+"?"+point, "")
			if body := r.body(); r.status != 500 || strings.Contains(body, "chunk") || strings.Contains(body, "Traceback") {
				t.Errorf("%s %s: %d %q", kind.name, point, r.status, body)
			}
			if r.value("Connection") != "close" {
				c.usable("/value_error?never")
			}
		}
		s.waitLog(t, kind.logged)
		if kind.name != "stop_iteration" {
			for _, length := range []string{"", "X-Length: 10"} {
				headers := []string{}
				if length != "" {
					headers = append(headers, length)
				}
				r := s.dial(t).do("GET", "/"+kind.name+"?later", "", headers...)
				if got, err := r.pieces(); r.status != 200 || err == nil || strings.Join(got, "") != "chunk" {
					t.Errorf("%s later %q: %d %q %v", kind.name, length, r.status, got, err)
				}
			}
		}
		if r, body := s.get(t, "/"+kind.name+"?close"); r.status != 200 || body != "chunkchunk" {
			t.Errorf("%s close: %d %q", kind.name, r.status, body)
		}
	}
}

func TestAFailedHTTP10ResponseEndsWithAReset(t *testing.T) {
	t.Parallel()
	c := shared(t, "raises").dial(t)
	c.send("GET /value_error?later HTTP/1.0\r\n\r\n")
	if got, err := c.head("GET").pieces(); err == nil {
		t.Errorf("%q and a clean end: the client takes it for whole", got)
	}
}

func TestTheTracebackNamesTheRequestAndTheAppsLine(t *testing.T) {
	t.Parallel()
	s := shared(t, "raises")
	tok := token()
	s.get(t, "/chained?before&"+tok)
	s.get(t, "/chained?before")
	s.waitLog(t, "The above exception was the direct cause")
	s.waitLog(t, "in chained")
	s.waitLog(t, "/chained")
}

func TestEveryWorkerLivesAfterSystemExit(t *testing.T) {
	t.Parallel()
	s := start(t, "raises", options{args: []string{"--threads", "2"}})
	for range 20 {
		for _, kind := range []string{"system_exit", "keyboard_interrupt", "recursion", "generator_exit"} {
			if r, _ := s.get(t, "/"+kind+"?before"); r.status != 500 {
				t.Fatalf("%s: %d", kind, r.status)
			}
		}
	}
}

func TestAnAppThatReturnsNoIterableOfBytesGets500(t *testing.T) {
	t.Parallel()
	s := shared(t, "returns")
	for _, kind := range []string{"none", "int", "true", "str", "list_of_str", "list_of_int", "list_of_none", "list_of_list", "bytes", "dict", "class", "object"} {
		r, body := s.get(t, "/"+kind)
		if r.status != 500 || strings.Contains(body, "text") {
			t.Errorf("%s: %d %q", kind, r.status, body)
		}
	}
	s.waitLog(t, "TypeError")
	// A list is looked at before anything is sent, or its second part comes too late for a 500: then the connection is cut.
	r := s.dial(t).do("GET", "/second_is_str", "")
	if got, err := r.pieces(); r.status != 500 && err == nil {
		t.Errorf("second_is_str: %d %q", r.status, got)
	}
	if r, body := s.get(t, "/empty_str"); r.status != 500 && body != "" {
		t.Errorf("empty_str: %d %q", r.status, body)
	}
}

func TestOthersAreServedWhileARequestBlocks(t *testing.T) {
	t.Parallel()
	s := start(t, "blocks", options{args: []string{"--threads", "4"}})
	file, open := gate(t)
	blocked := s.dial(t)
	blocked.request("GET", "/block?"+file, "")
	s.waitLog(t, "blocked "+file)
	begin := time.Now()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c := s.dial(t)
			for range 50 {
				if r := c.do("GET", "/fast", ""); r.status != 200 || r.body() != "done" {
					t.Error(r.status)
				}
			}
		})
	}
	wg.Wait()
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("200 requests took %v beside one that blocks", d)
	}
	open()
	if r := blocked.head("GET"); r.status != 200 || r.body() != "done" {
		t.Error(r.status)
	}
}

func TestMoreBlockedRequestsThanThreadsWaitTheirTurn(t *testing.T) {
	t.Parallel()
	s := start(t, "blocks", options{args: []string{"--threads", "2"}})
	file, open := gate(t)
	var blocked []*client
	for range 6 {
		c := s.dial(t)
		c.request("GET", "/block?"+file, "")
		blocked = append(blocked, c)
	}
	eventually(t, "two are in the app", func() bool { return s.countLog("blocked "+file) == 2 })
	open()
	for _, c := range blocked {
		if r := c.head("GET"); r.status != 200 || r.body() != "done" {
			t.Error(r.status)
		}
	}
	eventually(t, "six are in the log", func() bool { return s.countLog("blocked "+file) >= 6 })
	if n := s.countLog("blocked " + file); n != 6 {
		t.Errorf("the app ran %d times for 6 requests", n)
	}
}

func TestARequestThatComputesDoesNotStarveOthers(t *testing.T) {
	t.Parallel()
	s := start(t, "blocks", options{args: []string{"--threads", "4"}})
	file, stop := gate(t)
	defer stop()
	hog := s.dial(t)
	hog.request("GET", "/busy?"+file, "")
	s.waitLog(t, "busy "+file)
	c := s.dial(t)
	begin := time.Now()
	for range 100 {
		if r := c.do("GET", "/fast", ""); r.status != 200 || r.body() != "done" {
			t.Fatal(r.status)
		}
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("100 requests took %v beside one that computes", took)
	}
	stop()
	if r := hog.head("GET"); r.status != 200 {
		t.Error(r.status)
	}
}

func TestThreadsOfTheAppWork(t *testing.T) {
	t.Parallel()
	s := shared(t, "threads")
	tok := token()
	if got := getJSON[map[string]bool](t, s, "/start?"+tok); !got["done"] || got["alive"] {
		t.Error(got)
	}
	s.waitLog(t, "worked "+tok)
}

func TestThreadLocalIsKeptPerThread(t *testing.T) {
	t.Parallel()
	s := start(t, "threads", options{args: []string{"--threads", "3"}})
	var wg sync.WaitGroup
	var mu sync.Mutex
	threads := 0
	for range 4 {
		wg.Go(func() {
			for range 100 {
				got := getJSON[map[string]int](t, s, "/remember")
				if got["local"] != got["by_id"] || got["local"] < 1 {
					t.Errorf("%v: threading.local was lost", got)
					return
				}
				mu.Lock()
				threads = max(threads, got["threads"])
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if threads < 1 || threads > 3 {
		t.Errorf("%d threads ran the app, --threads is 3", threads)
	}
}

func TestPythonThreadsAreNamedThreadsAndNotTheMainOne(t *testing.T) {
	t.Parallel()
	got := getJSON[map[string]any](t, shared(t, "threads"), "/me")
	for k, want := range map[string]any{"type": "Thread", "main": false, "listed": true, "ident": true, "main_name": "MainThread",
		"main_alive": true, "imported_on_main": true} {
		if got[k] != want {
			t.Errorf("%s = %v", k, got[k])
		}
	}
	if name, _ := got["name"].(string); !strings.HasPrefix(name, "gowsgi-") {
		t.Errorf("name %q", name)
	}
}

func TestTraceHooksOfTheAppAreActiveInViews(t *testing.T) {
	t.Parallel()
	if got := getJSON[map[string]bool](t, shared(t, "threads"), "/trace"); !got["traced"] {
		t.Error("threading.settrace has no effect in a view: coverage and debuggers see nothing")
	}
}

func TestProgramsThatTheAppStartsRunAndEnd(t *testing.T) {
	t.Parallel()
	s := shared(t, "subprocesses")
	for path, want := range map[string]string{"/run": "3 out err", "/terminate": "-15", "/system": "4", "/descriptors": "none", "/variables": "none", "/python": "42"} {
		if got := s.getOK(t, path); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	blocked, ignored, _ := strings.Cut(strings.TrimPrefix(s.getOK(t, "/signals"), "blocked "), " ignored ")
	if strings.Trim(blocked, "0") != "" {
		t.Errorf("signals %s are blocked in what the app starts", blocked)
	}
	if want := ignoredSignals(t); ignored != want {
		t.Errorf("signals %s are ignored in what the app starts, the server was started with %s", ignored, want)
	}
}

func TestWhatTheAppStartsFindsTheLimitOfOpenFilesThatTheServerWasGiven(t *testing.T) {
	t.Parallel()
	s := shared(t, "subprocesses")
	own, child, _ := strings.Cut(s.getOK(t, "/nofile"), " ")
	if want := softNofile(t); child != want {
		t.Errorf("soft limit: the app sees %s, its program %s, the server was started with %s", own, child, want)
	}
}

func TestAWriteToAClosedPipeOrSocketIsBrokenPipeError(t *testing.T) {
	t.Parallel()
	s := shared(t, "broken_pipe")
	for range 3 {
		for _, path := range []string{"/pipe", "/sock"} {
			if got := s.getOK(t, path); got != "BrokenPipeError" {
				t.Errorf("%s: %s", path, got)
			}
		}
	}
}
