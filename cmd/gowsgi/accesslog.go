package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/logfile"
	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"golang.org/x/sys/unix"
)

// What --access-log may be instead of a path.
const (
	toStdout = "-"
	toSyslog = "syslog"
)

// accessLogTarget is what --access-log says, with a path that begins at the root. "": there is none.
func accessLogTarget(text string) (string, error) {
	if text == "" || text == toStdout || isSyslog(text) {
		return text, nil
	}
	return filepath.Abs(text)
}

// accessLogPath is the file that a target is; "" where it is none.
func accessLogPath(target string) string {
	if target == toStdout || isSyslog(target) {
		return ""
	}
	return target
}

func isSyslog(text string) bool { return text == toSyslog || strings.HasPrefix(text, toSyslog+":") }

// makeAccessLog makes the file of the access log, so that it shows at once where it can't be made, and can be given to a user. It returns its
// path, "" where it is no regular file.
func makeAccessLog(flag string) (path string, err error) {
	target, err := accessLogTarget(flag)
	if path = accessLogPath(target); path == "" || err != nil {
		return "", err
	}
	f, err := logfile.Open(path)
	if err != nil {
		return "", fmt.Errorf("--access-log: %w", err)
	}
	if st, err := os.Lstat(path); err != nil || !st.Mode().IsRegular() { // /dev/stdout is nobody's to give
		path = ""
	}
	return path, f.Close()
}

// accessLog is that of a worker.
type accessLog struct {
	*accesslog.Log
	file *logfile.Writer // nil: it is none
}

// openAccessLog opens what a target is. Each worker has its own way there: several append to a file.
func openAccessLog(s *workerSettings, log *slog.Logger) (*accessLog, error) {
	format, err := accesslog.ParseFormat(s.AccessLogFormat)
	if err != nil {
		return nil, err
	}
	o := accesslog.Options{Format: format, Worker: s.Worker, Logger: log}
	a := &accessLog{}
	var w io.Writer
	switch {
	case isSyslog(s.AccessLog):
		to := syslogTo(s.AccessLog)
		if to.network == "udp" {
			o.LineLimit = datagramLimit
		}
		w = accesslog.EachLine(to)
	case s.AccessLog == toStdout:
		w = toKind(descriptor(syscall.Stdout), isPipe(os.Stdout.Stat()), &o)
	default:
		if a.file, err = logfile.Open(s.AccessLog); err != nil {
			return nil, fmt.Errorf("--access-log: %w", err)
		}
		w = toKind(a.file, isPipe(os.Stat(s.AccessLog)), &o)
	}
	a.Log = accesslog.New(w, o)
	return a, nil
}

// toKind keeps the lines of several processes apart.
func toKind(w io.Writer, pipe bool, o *accesslog.Options) io.Writer {
	if pipe {
		o.LineLimit = accesslog.PipeLimit
		return accesslog.ToPipe(w)
	}
	return accesslog.ToFile(w)
}

// isPipe says whether it is a pipe or a socket, as of systemd's journal: both mix long writes of several processes.
func isPipe(st os.FileInfo, err error) bool {
	return err == nil && st.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}

// reopen opens the file anew. It waits for a write that waits for who reads a pipe.
func (a *accessLog) reopen(log *slog.Logger) {
	if a == nil || a.file == nil {
		return
	}
	if err := a.file.Reopen(); err != nil {
		log.Error("the access log goes on in the old file", "error", err)
	}
}

// end has everything written, but waits no longer than mostSay.
func (a *accessLog) end(log *slog.Logger) {
	if a == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), mostSay)
	defer cancel()
	if err := a.Close(ctx); err != nil {
		say(log, slog.LevelError, "the last lines of the access log are lost: they can't be written", "error", err)
	}
}

// log is the server's; nil for none.
func (a *accessLog) log() *accesslog.Log {
	if a == nil {
		return nil
	}
	return a.Log
}

// descriptor writes to one that is shared with other processes, which may have made it non-blocking. Unlike an os.File it does not end the
// program where nobody reads standard output any more.
type descriptor int

// Write implements io.Writer.
func (d descriptor) Write(p []byte) (n int, err error) {
	for n < len(p) {
		m, err := syscall.Write(int(d), p[n:])
		switch err {
		case nil:
			n += m
		case syscall.EINTR:
		case syscall.EAGAIN:
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(d), Events: unix.POLLOUT}}, -1)
		default:
			return n, os.NewSyscallError("write", err)
		}
	}
	return n, nil
}

// syslogWriter sends lines to syslogd. It connects when there is something to send, and again where the connection was lost.
type syslogWriter struct {
	network, address string
	w                *syslog.Writer
}

// datagramLimit is how long a line may be that goes by UDP: receivers should take messages of 2048 bytes (RFC 5426 section 3.2), and what is put
// before the line takes some.
const datagramLimit = 2048 - 128

// syslogTo reads syslog, syslog:/path/of/socket or syslog:host:port.
func syslogTo(target string) *syslogWriter {
	address := strings.TrimPrefix(strings.TrimPrefix(target, toSyslog), ":")
	switch {
	case address == "":
		return &syslogWriter{}
	case strings.HasPrefix(address, "/"):
		return &syslogWriter{network: "unixgram", address: address}
	}
	return &syslogWriter{network: "udp", address: address}
}

// Write implements io.Writer.
func (s *syslogWriter) Write(line []byte) (int, error) {
	if s.w == nil {
		w, err := syslog.Dial(s.network, s.address, syslog.LOG_INFO|syslog.LOG_DAEMON, "gowsgi")
		if err != nil {
			return 0, err
		}
		s.w = w
	}
	return s.w.Write(line)
}
