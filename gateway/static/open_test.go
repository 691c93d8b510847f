package static

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// heldWriter blocks in its first Write until it may go on.
type heldWriter struct {
	http.ResponseWriter
	begun, goOn chan struct{}
}

func (w heldWriter) Write(p []byte) (int, error) {
	select {
	case w.begun <- struct{}{}:
		<-w.goOn
	case <-w.goOn:
	}
	return len(p), nil
}

func TestClientsThatReadSlowlyTakeABoundedNumberOfFiles(t *testing.T) {
	const most = 2
	before := mostOpen
	mostOpen = func() int64 { return most }
	t.Cleanup(func() { mostOpen = before })
	dir := tree(t, map[string]string{"a.txt": strings.Repeat("x", 1<<20)})
	h, s := handlerOf(t, Options{Dir: dir}), senderOf(t, SenderOptions{Roots: []string{dir}})
	named := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = s.SendFile(w, r, filepath.Join(dir, "a.txt")) })
	files := descriptors(t)
	held := heldWriter{begun: make(chan struct{}), goOn: make(chan struct{})}
	over := make(chan struct{})
	for _, slow := range []http.Handler{h, named} {
		w := held
		w.ResponseWriter = httptest.NewRecorder()
		go func() {
			slow.ServeHTTP(w, httptest.NewRequest("GET", "/a.txt", nil))
			over <- struct{}{}
		}()
		<-held.begun
	}
	if n := descriptors(t) - files; n != most {
		t.Errorf("%d responses have %d descriptors", most, n)
	}
	r := ask(h, "GET", "/a.txt")
	_, _ = io.Copy(io.Discard, r.Body)
	if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %d %v", r.StatusCode, r.Header)
	}
	if _, err := sent(s.SendFile, filepath.Join(dir, "a.txt"), "GET", nil); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("one more that the app named: %v", err)
	}
	close(held.goOn)
	for range 2 {
		<-over
	}
	if r := ask(h, "GET", "/a.txt"); r.StatusCode != 200 {
		t.Errorf("after them: %d", r.StatusCode)
	}
}
