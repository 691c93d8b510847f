package systemd

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// manager is systemd's end.
func manager(t *testing.T, variables ...string) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	for _, name := range []string{"WATCHDOG_USEC", "WATCHDOG_PID"} {
		t.Setenv(name, "")
	}
	for _, kv := range variables {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	return c
}

func take(t *testing.T) *Notifier {
	t.Helper()
	n, err := TakeNotifier()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func receive(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestEachNoticeIsWhatSystemdReads(t *testing.T) {
	c := manager(t)
	n := take(t)
	for _, notice := range []struct {
		send func() error
		want string
	}{
		{func() error { return n.Ready("4 workers serve") }, `^READY=1\nSTATUS=4 workers serve$`},
		{func() error { return n.Ready("the reload failed:\nMAINPID=1\r\nhelp") }, `^READY=1\nSTATUS=the reload failed: MAINPID=1 help$`},
		{n.Reloading, `^RELOADING=1\nMONOTONIC_USEC=[1-9]\d*\n$`},
		{n.Stopping, `^STOPPING=1$`},
	} {
		if err := notice.send(); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, c); !regexp.MustCompile(notice.want).MatchString(got) {
			t.Errorf("%q, expected %s", got, notice.want)
		}
	}
}

func TestTheVariablesAreGoneOnceTaken(t *testing.T) {
	manager(t, "WATCHDOG_USEC=30000000")
	path := os.Getenv("NOTIFY_SOCKET")
	n := take(t)
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if value, ok := os.LookupEnv(name); ok {
			t.Errorf("%s is still there: %q", name, value)
		}
	}
	if want := []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=30000000"}; !slices.Equal(n.Environ(), want) {
		t.Errorf("a successor gets %q, expected %q", n.Environ(), want)
	}
}

func TestTheWatchdogIsFedOnlyWhileTheServiceIsHealthy(t *testing.T) {
	c := manager(t, "WATCHDOG_USEC=20000")
	n := take(t)
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	n.Watch(ctx, func() bool {
		if asked++; asked == 6 {
			cancel()
		}
		return asked <= 3
	})
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	for i := range 4 {
		b := make([]byte, 100)
		size, err := c.Read(b)
		switch {
		case i < 3 && (err != nil || string(b[:size]) != "WATCHDOG=1"):
			t.Errorf("%q, %v", b[:size], err)
		case i == 3 && err == nil:
			t.Errorf("%q though the service was not healthy", b[:size])
		}
	}
}

func TestNothingIsFedWhileTheHealthCheckHangs(t *testing.T) {
	c := manager(t, "WATCHDOG_USEC=2000")
	n := take(t)
	entered, leave, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		n.Watch(ctx, func() bool {
			select {
			case entered <- struct{}{}:
			default:
			}
			<-leave
			return false
		})
	}()
	<-entered
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // 50 times the interval
	if n, err := c.Read(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes were sent", n)
	}
	cancel()
	close(leave)
	<-done
}

func TestWithoutSystemdNothingIsSaid(t *testing.T) {
	manager(t)
	t.Setenv("NOTIFY_SOCKET", "")
	n := take(t)
	if err := n.Ready("x"); err != nil {
		t.Error(err)
	}
	n.Watch(t.Context(), func() bool { t.Error("asked though nobody watches"); return true })
}

func TestAWatchdogTimeThatIsNoNumberIsAnError(t *testing.T) {
	manager(t, "WATCHDOG_USEC=soon")
	if _, err := TakeNotifier(); err == nil || !strings.Contains(err.Error(), "WATCHDOG_USEC") {
		t.Errorf("%v", err)
	}
}

func TestAManagerThatIsGoneIsAnErrorAndNoHang(t *testing.T) {
	c := manager(t)
	n := take(t)
	c.Close()
	if err := n.Stopping(); err == nil || !strings.HasPrefix(err.Error(), "systemd can't be told") {
		t.Errorf("%v", err)
	}
}

func TestAManagerThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	manager(t)
	n := take(t)
	began := time.Now()
	var err error
	for i := 0; i < 10000 && err == nil; i++ {
		err = n.Ready("busy")
	}
	if err == nil || time.Since(began) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
