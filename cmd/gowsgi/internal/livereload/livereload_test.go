package livereload

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAPageHearsItsGenerationAndWhatChanges(t *testing.T) {
	draining := make(chan struct{})
	e := New(7, func() <-chan struct{} { return draining })
	server := httptest.NewServer(e)
	defer server.Close()
	resp, err := http.Get(server.URL + Prefix + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Error(resp.Header)
	}
	lines := bufio.NewReader(resp.Body)
	event := func() string {
		var text strings.Builder
		for {
			line, err := lines.ReadString('\n')
			if err != nil || line == "\n" {
				return text.String()
			}
			text.WriteString(line)
		}
	}
	if got := event(); got != "event: hello\ndata: 7\n" {
		t.Errorf("%q", got)
	}
	e.CSS([]string{"a b.css", "ü\n.css"})
	e.Page()
	if got := event(); got != "event: css\ndata: [\"a b.css\",\"ü\\n.css\"]\n" {
		t.Errorf("%q", got)
	}
	if got := event(); got != "event: page\ndata:\n" {
		t.Errorf("%q", got)
	}
	close(draining)
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
	waitForNobody(t, e)
}

func TestAPageThatLeavesIsForgotten(t *testing.T) {
	e := New(1, never)
	server := httptest.NewServer(e)
	defer server.Close()
	resp, err := http.Get(server.URL + Prefix + "/events")
	if err != nil {
		t.Fatal(err)
	}
	if listeners(e) != 1 {
		t.Error(listeners(e))
	}
	resp.Body.Close()
	waitForNobody(t, e)
}

func waitForNobody(t *testing.T, e *Events) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); listeners(e) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the page is still there")
		}
	}
}

func TestTheScriptIsServedAndNothingElse(t *testing.T) {
	for _, tc := range []struct {
		method, path string
		status       int
	}{{"GET", "/dev.js", 200}, {"HEAD", "/dev.js", 200}, {"POST", "/dev.js", 405}, {"HEAD", "/events", 404}, {"GET", "/", 404}, {"GET", "/other.js", 404}} {
		w := httptest.NewRecorder()
		New(1, never).ServeHTTP(w, httptest.NewRequest(tc.method, Prefix+tc.path, nil))
		if w.Code != tc.status || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %d %v", tc.method, tc.path, w.Code, w.Header())
		}
		if tc.status == 200 && w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Error(w.Header())
		}
	}
}

// never is a server that goes on.
func never() <-chan struct{} { return nil }

// listeners is how many pages listen.
func listeners(e *Events) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.pages)
}
