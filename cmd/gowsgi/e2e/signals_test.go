package e2e

import (
	"strings"
	"syscall"
	"testing"
)

func TestSignalHandlersOfTheAppAreCalledOnPythonsMainThread(t *testing.T) {
	t.Parallel()
	s := start(t, "signals", options{})
	for _, name := range []string{"SIGUSR1", "SIGUSR2", "SIGHUP", "SIGCHLD"} {
		if got := s.getOK(t, "/kill?"+name); got != "sent" {
			t.Fatal(got)
		}
		s.waitLog(t, "handler called for "+name+" on main")
	}
	s.signalWorker(t, syscall.SIGUSR1) // and from outside
	eventually(t, "the second SIGUSR1 arrived", func() bool { return s.countLog("handler called for SIGUSR1 on main") == 2 })
	if got := s.getOK(t, "/"); strings.Count(got, "SIGUSR1") != 2 {
		t.Errorf("%q", got)
	}
	if got := s.getOK(t, "/in_view"); got != "ValueError" {
		t.Errorf("signal.signal in a view: %s", got)
	}
}

func TestAlarmAndSetitimerOfTheAppFire(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/alarm", "/setitimer"} {
		s := start(t, "signals", options{})
		s.getOK(t, path)
		s.waitLog(t, "handler called for SIGALRM on main")
	}
}

func TestManySignalsUnderLoadHarmNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "signals", options{})
	c := s.dial(t)
	for range 300 {
		s.signalWorker(t, syscall.SIGUSR1)
		if r := c.do("GET", "/in_view", ""); r.status != 200 {
			t.Fatal(r.status)
		} else {
			r.body()
		}
	}
	s.waitLog(t, "handler called for SIGUSR1 on main")
}

func TestAnAppsOwnSIGTERMHandlerRunsAndItsExitCodeCounts(t *testing.T) {
	t.Parallel()
	s := start(t, "signal_term", options{exit: 5})
	if got := s.getOK(t, "/"); got != "up" {
		t.Fatal(got)
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.waitExit(t); code != 5 {
		t.Errorf("exit code %d, the app asked for 5", code)
	}
	s.waitLog(t, "the app's own SIGTERM handler")
}

func TestTheEndRunsAtexitWaitsForThreadsAndFlushes(t *testing.T) {
	t.Parallel()
	s := start(t, "exit_hooks", options{})
	s.getOK(t, "/")
	for _, p := range s.stop() {
		t.Error(p)
	}
	for _, text := range []string{"from the executor", "non-daemon thread ended", "atexit ran on main", "left in the buffer of stdout"} {
		if s.countLog(text) != 1 {
			t.Errorf("%q is in the log %d times", text, s.countLog(text))
		}
	}
}
