//go:build cgo

package gateway

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// queueApp answers to /wait once there is a file of the name release beside it, and lists what it saw.
const queueApp = `
import json, os, threading, time

seen = []
kept = []

def wait_for(happened):
    os.write(2, b'waiting\n')
    for i in range(6000):
        if happened():
            return
        time.sleep(0.005)

def app(environ, start_response):
    path = environ['RAW_URI']
    gone = environ['gowsgi.client_disconnected']
    seen.append(path)
    text = 'hello'
    if path == '/wait':
        wait_for(lambda: os.path.exists(os.path.join(os.path.dirname(__file__), 'release')))
    if path == '/poll':
        kept.append(gone)
        answers = [gone()]
        wait_for(gone)
        thread = threading.Thread(target=lambda: answers.append(gone()))
        thread.start()
        thread.join()
        seen.append(answers)
    if path == '/keep':
        kept.append(gone)
        text = str(gone())
    if path == '/kept':
        text = json.dumps([f() for f in kept])
    if path == '/seen':
        text = json.dumps(seen)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [text.encode()]
`

// waiting starts a request that holds one thread.
func (h *hosted) waiting(path string) *client {
	h.t.Helper()
	before := strings.Count(h.logs.String(), "waiting\n")
	c := h.ask(path)
	waitFor(h.t, path+" is in the app", func() bool { return strings.Count(h.logs.String(), "waiting\n") > before })
	return c
}

// release ends what waits in the app.
func (h *hosted) release() {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, "release"), nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// wantSeen compares what the app saw.
func (h *hosted) wantSeen(want string) {
	h.t.Helper()
	if _, body := h.dial().get("/seen"); body != want {
		h.t.Errorf("the app saw %s, want %s", body, want)
	}
}

func TestARequestThatWaitsTooLongInTheQueueIsAnswered503AndNeverRuns(t *testing.T) {
	h := hostJob{Threads: 2, Queue: 3 * time.Second}.start(t, queueApp)
	first, second := h.waiting("/wait"), h.waiting("/wait")
	third := h.ask("/third")
	if resp := third.want(503, "503 Service Unavailable\n"); resp.Header.Get("Retry-After") != "1" || resp.Close {
		t.Errorf("%v", resp)
	}
	h.release()
	first.want(200, "hello")
	second.want(200, "hello")
	h.wantSeen(`["/wait", "/wait", "/seen"]`)
}

func TestMoreRequestsThanTheBacklogAreAnswered503AtOnce(t *testing.T) {
	const backlog, more = 3, 5
	h := hostJob{Threads: 1, Backlog: backlog}.start(t, queueApp)
	first := h.waiting("/wait")
	var queued []*client
	for range backlog {
		queued = append(queued, h.ask("/queued"))
		h.waitForLoad(len(queued), len(queued)+1)
	}
	for range more {
		h.ask("/refused").want(503, "*")
	}
	h.waitForLoad(backlog, 1+backlog+more)
	h.release()
	first.want(200, "hello")
	for _, c := range queued {
		c.want(200, "hello")
	}
	h.wantSeen(`["/wait", "/queued", "/queued", "/queued", "/seen"]`)
}

func TestAQueuedRequestWhoseClientHasGoneLeavesTheQueueAndNeverReachesPython(t *testing.T) {
	h := hostJob{Threads: 1, Backlog: 3}.start(t, queueApp)
	first := h.waiting("/wait")
	var clients []*client
	for _, path := range []string{"/first", "/middle", "/last"} {
		clients = append(clients, h.ask(path))
		h.waitForLoad(len(clients), 1+len(clients))
	}
	for left, i := range []int{1, 0, 2} {
		_ = clients[i].Close()
		h.waitForLoad(2-left, 3-left)
	}
	again := h.ask("/again")
	h.waitForLoad(1, 2)
	h.release()
	first.want(200, "hello")
	again.want(200, "hello")
	h.wantSeen(`["/wait", "/again", "/seen"]`)
}

func TestTheAppIsToldThatItsClientIsGone(t *testing.T) {
	h := hostJob{Threads: 2}.start(t, queueApp)
	c := h.waiting("/poll")
	_ = c.Close()
	waitFor(t, "the app saw it", func() bool {
		_, body := h.dial().get("/seen")
		return strings.Contains(body, "[false, true]")
	})
	h.ask("/keep").want(200, "False")
	h.ask("/kept").want(200, "[true, true]")
}

func TestTheGateIsAskedBeforeAConnectionIsTaken(t *testing.T) {
	asked, open := make(chan struct{}, 100), make(chan struct{})
	ts := serve(t, hello, func(s *Server) {
		s.AcceptGate = func() {
			asked <- struct{}{}
			<-open
		}
	})
	<-asked
	nc, err := net.Dial("tcp", ts.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	if n := ts.Connections(); n != 0 {
		t.Errorf("%d connections before the gate is open", n)
	}
	close(open)
	if _, body := ts.client(nc).get("/"); body != "hello /" {
		t.Error(body)
	}
	if n := ts.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
