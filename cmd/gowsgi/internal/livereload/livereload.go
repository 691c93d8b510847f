// Package livereload tells open pages of a browser to load themselves anew: by a script in them, which listens to Server-Sent Events.
package livereload

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Prefix is the path that a [Events] is to be mounted at.
const Prefix = "/__gowsgi__"

//go:embed dev.js
var script string

// beat is how often something is sent to each page, so that one that is gone is noticed.
const beat = 15 * time.Second

// Events serves the script and the events of one worker. Its methods may be called by any goroutine.
type Events struct {
	generation int64
	draining   func() <-chan struct{}

	mu    sync.Mutex
	pages map[chan string]bool
}

// New makes the events of a worker. A page that another generation made is loaded anew when it listens. draining is called for each stream, which ends
// when what it returns is closed: the page then listens to the next worker.
func New(generation int64, draining func() <-chan struct{}) *Events {
	return &Events{generation: generation, draining: draining, pages: map[chan string]bool{}}
}

// Page has all open pages loaded anew.
func (e *Events) Page() { e.send("event: page\ndata:\n\n") }

// CSS has all open pages fetch the style sheets of these names anew.
func (e *Events) CSS(names []string) {
	data, _ := json.Marshal(names) // strings always can be
	e.send("event: css\ndata: " + string(data) + "\n\n")
}

// send drops the event for a page that takes none: it will see another generation, or be loaded by hand.
func (e *Events) send(event string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for page := range e.pages {
		select {
		case page <- event:
		default:
		}
	}
}

// ServeHTTP implements [http.Handler].
func (e *Events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
	case strings.HasSuffix(r.URL.Path, "/dev.js"):
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write([]byte(script))
	case strings.HasSuffix(r.URL.Path, "/events") && r.Method == http.MethodGet:
		e.stream(w, r)
	default:
		http.NotFound(w, r)
	}
}

// stream sends events until the page is gone or the worker drains.
func (e *Events) stream(w http.ResponseWriter, r *http.Request) {
	page := make(chan string, 8)
	e.mu.Lock()
	e.pages[page] = true
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.pages, page)
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	write := func(text string) bool {
		_, err := w.Write([]byte(text))
		return err == nil && control.Flush() == nil
	}
	timer := time.NewTicker(beat)
	defer timer.Stop()
	draining := e.draining()
	for event := fmt.Sprintf("event: hello\ndata: %d\n\n", e.generation); write(event); {
		select {
		case event = <-page:
		case <-timer.C:
			event = ": still here\n\n"
		case <-r.Context().Done():
			return
		case <-draining:
			return
		}
	}
}
