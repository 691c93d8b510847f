package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devlog"
)

// newLogger returns the log that people read: slog's text, in which the further lines of a message, such as a traceback, follow as lines
// instead of as one quoted string. Each entry is one Write, since several processes may write to the same file.
func newLogger(w io.Writer) *slog.Logger {
	entry := &entry{w: w}
	return slog.New(lineHandler{slog.NewTextHandler(&entry.text, nil), entry})
}

// ownStderr is a copy of standard error: the app may close that, and what it opens next gets its number.
func ownStderr() *os.File {
	fd, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return os.Stderr
	}
	return os.NewFile(uintptr(fd), "standard error")
}

// colours says whether what is written to w may have colours.
func colours(w io.Writer) (may bool) {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	raw, err := f.SyscallConn() // its Fd would have it block for all that share it
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) { may = devlog.Color(int(fd)) })
	return may
}

// entry is the one that is being written.
type entry struct {
	mu   sync.Mutex
	text bytes.Buffer
	w    io.Writer
}

type lineHandler struct {
	slog.Handler // writes to entry.text
	entry        *entry
}

// Handle implements [slog.Handler].
func (h lineHandler) Handle(ctx context.Context, r slog.Record) error {
	h.entry.mu.Lock()
	defer h.entry.mu.Unlock()
	h.entry.text.Reset()
	first, rest, more := strings.Cut(r.Message, "\n")
	if more {
		head := slog.NewRecord(r.Time, r.Level, first, r.PC)
		r.Attrs(func(a slog.Attr) bool {
			head.AddAttrs(a)
			return true
		})
		r = head
	}
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	for line := range strings.Lines(rest) {
		// Indented, so that no message can pass for an entry of its own.
		h.entry.text.WriteString("  " + strings.Map(printable, strings.TrimSuffix(line, "\n")) + "\n")
	}
	_, err := h.entry.w.Write(h.entry.text.Bytes())
	return err
}

// printable replaces what a terminal would act on: control characters, of C1 too, line separators, changes of the writing direction.
func printable(r rune) rune {
	if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029') {
		return '\uFFFD'
	}
	return r
}

// WithAttrs implements [slog.Handler].
func (h lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lineHandler{h.Handler.WithAttrs(attrs), h.entry}
}

// WithGroup implements [slog.Handler].
func (h lineHandler) WithGroup(name string) slog.Handler {
	return lineHandler{h.Handler.WithGroup(name), h.entry}
}

// laterWriter writes on a goroutine of its own: what logs must not wait for a log that can't be written, such as a pipe whose reader sleeps.
// What does not fit any more is lost.
type laterWriter struct{ writes chan func() }

// mostEntries is how many entries may wait.
const mostEntries = 1000

func newLaterWriter() *laterWriter {
	l := &laterWriter{make(chan func(), mostEntries)}
	go func() {
		for write := range l.writes {
			write()
		}
	}()
	return l
}

// to is the writer of what comes from now on.
func (l *laterWriter) to(w io.Writer) io.Writer { return laterEnd{l, w} }

type laterEnd struct {
	l *laterWriter
	w io.Writer
}

// Write implements io.Writer.
func (e laterEnd) Write(p []byte) (int, error) {
	p = bytes.Clone(p)
	select {
	case e.l.writes <- func() { _, _ = e.w.Write(p) }:
	default:
	}
	return len(p), nil
}

// flush waits until what came up to now is written, but not for longer than mostSay.
func (l *laterWriter) flush() {
	written, late := make(chan struct{}), time.After(mostSay)
	select {
	case l.writes <- func() { close(written) }:
	case <-late:
		return
	}
	select {
	case <-written:
	case <-late:
	}
}
