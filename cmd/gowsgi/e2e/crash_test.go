package e2e

import (
	"strings"
	"syscall"
	"testing"
)

func TestTheLogNamesTheRequestThatCrashedAWorkerAndAnotherTakesItsPlace(t *testing.T) {
	t.Parallel()
	for path, sig := range map[string]syscall.Signal{"/segfault": syscall.SIGSEGV, "/abort": syscall.SIGABRT} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			s := start(t, "segfault", options{crash: true})
			if got := s.getOK(t, "/fine"); got != "alive" {
				t.Fatal(got)
			}
			c := s.dial(t)
			c.request("GET", path+"?with=a&query", "")
			line := s.waitLog(t, "a worker ended by itself")
			if want := "signal: " + sig.String(); !strings.Contains(line, want) {
				t.Errorf("%q does not say %q", line, want)
			}
			lines := s.log.all()
			for i, l := range lines {
				if l == line && !strings.Contains(lines[i-1], "GET "+path) {
					t.Errorf("the log's last line before that is %q", lines[i-1])
				}
			}
			if got := s.getOK(t, "/fine"); got != "alive" {
				t.Errorf("its successor says %q", got)
			}
		})
	}
}
