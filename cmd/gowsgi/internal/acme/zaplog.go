package acme

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"go.uber.org/zap/zapcore"
)

// zapCore writes what certmagic logs to our own log: its warnings and errors as warnings, since all that failed is tried again, and the rest,
// which is each of its steps, for debugging.
type zapCore struct {
	log    *slog.Logger
	over   <-chan struct{} // closed: nothing more is said
	fields []zapcore.Field
}

func levelOf(l zapcore.Level) slog.Level {
	if l >= zapcore.WarnLevel {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// Enabled implements [zapcore.Core].
func (c *zapCore) Enabled(l zapcore.Level) bool {
	select {
	case <-c.over:
		return false
	default:
		return c.log.Enabled(context.Background(), levelOf(l))
	}
}

// With implements [zapcore.Core].
func (c *zapCore) With(fields []zapcore.Field) zapcore.Core {
	return &zapCore{c.log, c.over, slices.Concat(c.fields, fields)}
}

// Check implements [zapcore.Core].
func (c *zapCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements [zapcore.Core].
func (c *zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(values)
	}
	var attrs []any
	for _, name := range slices.Sorted(maps.Keys(values.Fields)) {
		attrs = append(attrs, name, values.Fields[name])
	}
	c.log.Log(context.Background(), levelOf(e.Level), "acme: "+e.Message, attrs...)
	return nil
}

// Sync implements [zapcore.Core].
func (c *zapCore) Sync() error { return nil }
