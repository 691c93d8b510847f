package devlog

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"
)

// Handler returns a handler of the server's own messages: level, message and attributes on a line, in colours where color is true, without the
// time. The further lines of a message, such as a traceback, follow as lines. Each message is one Write.
func Handler(w io.Writer, color bool) slog.Handler {
	out := &output{w: w}
	attrs := slog.NewTextHandler(&out.attrs, &slog.HandlerOptions{ReplaceAttr: withoutBuiltIn})
	return handler{attrs, out, paint(color)}
}

// withoutBuiltIn leaves the attributes that a message was given.
func withoutBuiltIn(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}

// output is what the handlers of one writer share.
type output struct {
	mu    sync.Mutex
	attrs bytes.Buffer // of the message that is being written
	line  []byte
	w     io.Writer
}

type handler struct {
	slog.Handler // writes to output.attrs
	*output
	paint paint
}

// Handle implements [slog.Handler].
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.attrs.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	name, c := levelOf(r.Level)
	first, rest, _ := strings.Cut(r.Message, "\n")
	dst := h.paint.append(h.line[:0], c, name)
	dst = append(append(dst, ": "...), strings.Map(printable, first)...)
	if text := strings.TrimSpace(h.attrs.String()); text != "" {
		dst = h.paint.append(append(dst, ' '), dim, text)
	}
	dst = append(dst, '\n')
	for line := range strings.Lines(rest) {
		// Indented, so that no message can pass for another.
		dst = append(append(append(dst, "  "...), strings.Map(printable, strings.TrimSuffix(line, "\n"))...), '\n')
	}
	h.line = dst
	_, err := h.w.Write(dst)
	return err
}

// WithAttrs implements [slog.Handler].
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs), h.output, h.paint}
}

// WithGroup implements [slog.Handler].
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.output, h.paint}
}

func levelOf(l slog.Level) (string, color) {
	switch {
	case l >= slog.LevelError:
		return "error", red
	case l >= slog.LevelWarn:
		return "warning", yellow
	case l >= slog.LevelInfo:
		return "info", cyan
	}
	return "debug", dim
}

// printable replaces what a terminal would act on: control characters, line separators, changes of the writing direction.
func printable(r rune) rune {
	if r != '\t' && !unicode.IsPrint(r) {
		return unicode.ReplacementChar
	}
	return r
}
