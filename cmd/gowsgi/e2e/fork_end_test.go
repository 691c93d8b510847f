package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slowFork holds up a template after a fork, before it has told the number of the process.
const slowFork = `import os, time
pid = os.getpid()
def forked():
    if os.path.exists(%q):
        open(%q, "w").close()
        time.sleep(100)
os.register_at_fork(after_in_parent=forked)
`

const slowForkApp = `import os, slow_fork, words
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"imported here" if slow_fork.pid == os.getpid() else b"preloaded"]
`

func TestAServerThatEndsWhileItsTemplateForksEndsAsAnyOther(t *testing.T) {
	for _, kind := range []string{"dev", "serve"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			armed, arm := gate(t)
			forking, _ := gate(t)
			library := projectOf(t, "site-packages/slow_fork.py", fmt.Sprintf(slowFork, armed, forking))
			dir := projectOf(t, "words.py", "", "app.py", slowForkApp)
			o := options{env: []string{"PYTHONPATH=" + filepath.Join(library, "site-packages")}}
			var s *server
			if kind == "dev" {
				p := dev(t, dir, o)
				s = p.server
				eventually(t, "a worker of a template that has imported the library", func() bool {
					p.save("words.py", fmt.Sprintf("# %d\n", time.Now().UnixNano()))
					_, body, err := p.ask("/")
					return err == nil && body == "preloaded"
				})
				arm()
				p.save("words.py", "# the last\n")
			} else {
				o.spec, o.noDir, o.args = "app", true, []string{"--chdir", dir, "--preload"}
				s = start(t, "hello", o)
				arm()
				s.signalWorker(t, syscall.SIGKILL)
				s.waitLog(t, "killed")
			}
			eventually(t, "the template has forked", exists(forking))
			s.signal(t, syscall.SIGTERM)
			select {
			case <-s.exited:
			case <-time.After(30 * time.Second):
				t.Fatal("it does not end")
			}
			if _, said := s.log.find(regexp.MustCompile("can't be started|did not start|no master"), 0); said {
				t.Error(s.tail(20))
			}
			if code := s.cmd.ProcessState.ExitCode(); code != 0 {
				t.Error(code, strings.TrimSpace(s.tail(20)))
			}
		})
	}
}
