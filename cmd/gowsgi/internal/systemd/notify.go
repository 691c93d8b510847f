package systemd

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

const socketVariable = "NOTIFY_SOCKET"

// sendTimeout bounds a notice: the manager's queue may be full, and the server must go on.
const sendTimeout = time.Second

// Notifier tells the service manager what a unit of Type=notify or Type=notify-reload does (sd_notify(3)). The zero value, which is that of
// a process that systemd did not start, says nothing. Its methods can be called from any goroutine and take a second at most; their
// errors are for the log: a service works without its notices.
type Notifier struct {
	socket   string
	watchdog time.Duration // within which the manager wants to hear of the service; 0: it does not
}

// TakeNotifier makes the Notifier of this process's environment and removes the variables (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID):
// what the app starts must not speak for the service. To be called once.
func TakeNotifier() (*Notifier, error) {
	n := &Notifier{socket: strings.Clone(os.Getenv(socketVariable))}
	if err := os.Unsetenv(socketVariable); err != nil {
		return nil, err
	}
	var err error
	if n.watchdog, err = daemon.SdWatchdogEnabled(true); err != nil {
		return nil, fmt.Errorf("systemd's watchdog: %w", err)
	}
	return n, nil
}

// Environ is what the next program in this process, or its successor, needs in its environment to be heard in turn.
func (n *Notifier) Environ() []string {
	var env []string
	if n.socket != "" {
		env = append(env, socketVariable+"="+n.socket)
	}
	if n.watchdog > 0 {
		env = append(env, "WATCHDOG_USEC="+strconv.FormatInt(n.watchdog.Microseconds(), 10))
	}
	return env
}

// Ready says that the service serves: after its start, and after a reload, one that failed too. The status is one line for people
// (systemctl status).
func (n *Notifier) Ready(status string) error {
	return n.send(daemon.SdNotifyReady + "\n" + statusLine(status))
}

// Reloading says that a reload has begun; Ready ends it.
func (n *Notifier) Reloading() error {
	return n.send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// Stopping says that the service drains and then ends.
func (n *Notifier) Stopping() error { return n.send(daemon.SdNotifyStopping) }

// Watch feeds the manager's watchdog, where the unit has one (WatchdogSec=), at half its time, for as long as healthy says true, until ctx
// ends. A healthy that does not return feeds nothing either: then the manager ends the service and starts it anew.
func (n *Notifier) Watch(ctx context.Context, healthy func() bool) {
	if n.watchdog <= 0 {
		return
	}
	tick := time.NewTicker(max(n.watchdog/2, time.Millisecond))
	defer tick.Stop()
	for {
		if healthy() {
			// A notice that is lost is followed by another.
			_ = n.send(daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// statusLine keeps a text from being read as further assignments.
func statusLine(status string) string {
	return "STATUS=" + strings.Join(strings.FieldsFunc(status, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

// send is daemon.SdNotify without the variable, which is gone, and with a bound.
func (n *Notifier) send(state string) error {
	if n.socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("systemd can't be told: %w", err)
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("systemd can't be told: %w", err)
	}
	return nil
}
