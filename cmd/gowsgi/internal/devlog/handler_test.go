package devlog

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAMessageIsALineWithItsLevelAndAttributes(t *testing.T) {
	var w writes
	log := slog.New(Handler(&w, false))
	log.Info("listening", "url", "http://127.0.0.1:8000")
	log.Warn("slow", "error", errors.New("the disk is full"))
	log.With("worker", 3).WithGroup("app").Error("failed", "path", "a b")
	log.Debug("is not shown")
	want := []string{
		"info: listening url=http://127.0.0.1:8000\n", `warning: slow error="the disk is full"` + "\n", `error: failed worker=3 app.path="a b"` + "\n",
	}
	if strings.Join(w, "") != strings.Join(want, "") || len(w) != len(want) {
		t.Errorf("%q", w)
	}
}

func TestTheLevelHasAColour(t *testing.T) {
	var w writes
	log := slog.New(Handler(&w, true))
	log.Info("a")
	log.Warn("b")
	log.Error("c", "d", 1)
	if got := strings.Join(w, ""); got != "\x1b[36minfo\x1b[0m: a\n\x1b[33mwarning\x1b[0m: b\n\x1b[31merror\x1b[0m: c \x1b[2md=1\x1b[0m\n" {
		t.Errorf("%q", got)
	}
}

func TestATracebackFollowsAsLinesAndNothingMovesTheCursor(t *testing.T) {
	var w writes
	slog.New(Handler(&w, false)).Error("it failed\nTraceback:\n  File \"é.py\"\x1b[2J\r\u202e\n", "path", "x\x1b[2J")
	want := "error: it failed path=\"x\\x1b[2J\"\n  Traceback:\n    File \"é.py\"\ufffd[2J\ufffd\ufffd\n"
	if len(w) != 1 || w[0] != want {
		t.Errorf("%q", w)
	}
}

// terminal is a pseudo terminal.
func terminal(t *testing.T) int {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("there are no pseudo terminals:", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func TestColoursAreForTerminalsOfThoseWhoWantThem(t *testing.T) {
	fd := terminal(t)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("NO_COLOR", "")
	if !Color(fd) || Color(int(file.Fd())) {
		t.Error("a terminal has none, or a file has some")
	}
	t.Setenv("NO_COLOR", "1")
	if Color(fd) {
		t.Error("NO_COLOR is not followed")
	}
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	if Color(fd) {
		t.Error("a dumb terminal has colours")
	}
}
