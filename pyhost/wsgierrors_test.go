//go:build cgo

package pyhost

import (
	"context"
	"strings"
	"testing"
	"time"
)

func init() {
	childActions["get, shutdown"] = func(h *Host) error {
		if _, err := get(h, 0, "/"); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		return h.Shutdown(ctx)
	}
}

func TestNoLineOfWSGIErrorsIsLostAtTheEnd(t *testing.T) {
	dir := write(t, "app.py", `
import atexit
def app(environ, start_response):
    errors = environ['wsgi.errors']
    def last():
        for i in range(20000): errors.write('a line at the end\n')
    atexit.register(last)
    start_response('200 OK', [])
    return []
`)
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "get, shutdown"}.start(t)
	if n := strings.Count(r.stderr, "a line at the end"); r.code != 0 || n != 20000 {
		t.Fatalf("%d lines, exit code %d", n, r.code)
	}
}

func TestALongLineOfWSGIErrorsGoesOutInPieces(t *testing.T) {
	dir := write(t, "app.py", `
def app(environ, start_response):
    environ['wsgi.errors'].write('\u00e9' * 1000000 + '\nshort\n')
    start_response('200 OK', [])
    return []
`)
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
	longest := 0
	for line := range strings.Lines(r.stderr) {
		longest = max(longest, len(line))
	}
	if n := strings.Count(r.stderr, "é"); r.code != 0 || n != 1000000 || longest > 70<<10 || !strings.Contains(r.stderr, "msg=short") {
		t.Fatalf("%d characters, the longest line has %d bytes, exit code %d", n, longest, r.code)
	}
}
