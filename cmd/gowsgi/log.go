package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"
)

// newLogger returns the log that people read: slog's text, in which the further lines of a message, such as a traceback, follow as lines
// instead of as one quoted string.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(lineHandler{slog.NewTextHandler(w, nil), &sync.Mutex{}, w})
}

type lineHandler struct {
	slog.Handler
	mu *sync.Mutex // an entry's lines stay together
	w  io.Writer
}

// Handle implements [slog.Handler].
func (h lineHandler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	first, rest, more := strings.Cut(r.Message, "\n")
	if !more {
		return h.Handler.Handle(ctx, r)
	}
	head := slog.NewRecord(r.Time, r.Level, first, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		head.AddAttrs(a)
		return true
	})
	if err := h.Handler.Handle(ctx, head); err != nil {
		return err
	}
	var b strings.Builder
	for line := range strings.Lines(rest) {
		// Indented, so that no message can pass for an entry of its own.
		b.WriteString("  " + strings.Map(printable, strings.TrimSuffix(line, "\n")) + "\n")
	}
	_, err := io.WriteString(h.w, b.String())
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
	return lineHandler{h.Handler.WithAttrs(attrs), h.mu, h.w}
}

// WithGroup implements [slog.Handler].
func (h lineHandler) WithGroup(name string) slog.Handler {
	return lineHandler{h.Handler.WithGroup(name), h.mu, h.w}
}
