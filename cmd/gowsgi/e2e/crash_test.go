package e2e

import (
	"strings"
	"syscall"
	"testing"
)

func TestTheLastLineOfTheLogNamesTheRequestThatCrashedTheProcess(t *testing.T) {
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
			if code := s.waitExit(t); code == 0 {
				t.Error("exit code 0")
			}
			<-s.log.ended
			if status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != sig {
				t.Errorf("ended with %v, expected %v", s.cmd.ProcessState, sig)
			}
			lines := s.log.all()
			if last := lines[len(lines)-1]; !strings.Contains(last, "GET "+path) {
				t.Errorf("the log's last line is %q", last)
			}
		})
	}
}
