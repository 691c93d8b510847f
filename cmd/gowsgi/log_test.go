package main

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestATracebackIsLoggedAsLinesThatCanNotPassForEntries(t *testing.T) {
	var b strings.Builder
	log := newLogger(&b)
	log.Error("the app raised: GET /\nTraceback:\n  File \"x\"\ntime=1 level=INFO msg=\"\x1b[31mforged\"\u009b2J\u202e\u2028", "request", "GET /")
	log.With("a", 1).WithGroup("g").Info("one line", "b", 2)
	got := regexp.MustCompile(`(?m)^time=\S{20,}`).ReplaceAllString(b.String(), "time=T")
	want := `time=T level=ERROR msg="the app raised: GET /" request="GET /"
  Traceback:
    File "x"
  time=1 level=INFO msg="` + "\uFFFD" + `[31mforged"` + "\uFFFD2J\uFFFD\uFFFD" + `
time=T level=INFO msg="one line" a=1 g.b=2
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDebugEntriesAreNotLogged(t *testing.T) {
	var b strings.Builder
	newLogger(&b).Log(t.Context(), slog.LevelDebug, "x")
	if b.Len() != 0 {
		t.Error(b.String())
	}
}
