package accesslog

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Options are the settings of a [Log].
type Options struct {
	Format *Format // nil: combined
	// Worker is the number of the process among those that serve the same listeners, for the lines.
	Worker int
	// LineLimit is how many bytes a line may have, its end included; long fields are cut to keep it. 0: no limit. A pipe into which several
	// processes write keeps lines of 4096 bytes (PIPE_BUF) whole.
	LineLimit int
	// Logger is told of lines that were lost, once a minute at most; slog.Default where it is nil.
	Logger *slog.Logger
}

const (
	mostWaiting = 4 << 20                // bytes that wait to be written; further lines are lost
	writeAt     = 512 << 10              // bytes that are written at once: to wake the writer costs far more than to write
	writeAfter  = 100 * time.Millisecond // the longest that a line waits for others
	tellEvery   = time.Minute            // of lines that were lost
)

// Log writes the lines of entries to a writer, many at once and never a part of one. All its methods may be called by any goroutine.
type Log struct {
	o     Options
	w     io.Writer
	timed bool
	each  func(Entry)   // not nil: there are no lines
	wake  chan struct{} // there is a line; holds one
	full  chan struct{} // there are writeAt bytes; holds one
	over  chan struct{} // closed when all is written after Close

	mu      sync.Mutex // guards what follows
	dates   dates
	values  *values
	lines   []byte
	closing bool
	lost    int64 // not told yet
}

// New returns a log that writes to w, each time whole lines. w is used by one goroutine, may be as slow as it likes, and where it fails the
// lines are lost. It must be closed.
func New(w io.Writer, o Options) *Log {
	if o.Format == nil {
		o.Format, _ = ParseFormat("combined")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	l := &Log{o: o, w: w, timed: o.Format.WantsTimes(), values: o.Format.newValues(), wake: make(chan struct{}, 1), full: make(chan struct{}, 1), over: make(chan struct{})}
	go l.run()
	return l
}

// NewEach returns a log without lines: each entry is given to f, by the goroutine that adds it and before Add returns. f may be called by
// several goroutines at once, and keeps nothing of what the entry's slices hold.
func NewEach(f func(Entry)) *Log {
	l := &Log{o: Options{Format: &Format{}}, timed: true, each: f, over: make(chan struct{})}
	close(l.over)
	return l
}

// WantsRequestID says whether the lines show the requests' ids.
func (l *Log) WantsRequestID() bool { return l.o.Format.WantsRequestID() }

// WantsTimes says whether the lines show Queue, Python or Thread, or how long the requests took; else nobody needs to look at a clock for that.
func (l *Log) WantsTimes() bool { return l.timed }

// Add logs a request. It never waits for the writer, keeps nothing of e, and allocates nothing; but see [NewEach].
func (l *Log) Add(e *Entry) {
	if l.timed && e.End == 0 {
		e.End = Now()
	}
	if l.each != nil {
		l.each(*e)
		return
	}
	l.mu.Lock()
	before := len(l.lines)
	if before >= mostWaiting || l.closing {
		l.lost++
		l.mu.Unlock()
		return
	}
	l.dates.sync(max(e.Start, e.End))
	l.lines = l.o.Format.append(l.lines, e, l.values, &l.dates, l.o.Worker, l.o.LineLimit)
	after := len(l.lines)
	l.mu.Unlock()
	switch {
	case before == 0:
		signal(l.wake)
	case before < writeAt && after >= writeAt:
		signal(l.full)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Close has what was added written, lets go of the writer, and returns; or returns ctx's error where that takes too long. Entries that are
// added later are lost.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	signal(l.wake)
	signal(l.full)
	select {
	case <-l.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the writer's goroutine.
func (l *Log) run() {
	defer close(l.over)
	var spare []byte
	var t teller
	timer := time.NewTimer(writeAfter)
	for {
		<-l.wake
		timer.Reset(writeAfter)
		select {
		case <-l.full:
		case <-timer.C:
		}
		l.mu.Lock()
		lines, lost, closing := l.lines, l.lost, l.closing
		l.lines, l.lost = spare[:0], 0
		l.mu.Unlock()
		n, err := l.write(lines)
		t.add(lost+n, err)
		t.tell(l.o.Logger, closing)
		if spare = lines; cap(spare) > 2*writeAt { // after a time in which the writer was slow
			spare = nil
		}
		if closing {
			return
		}
	}
}

// write writes lines and returns how many are lost.
func (l *Log) write(lines []byte) (lost int64, err error) {
	if len(lines) == 0 {
		return 0, nil
	}
	n, err := l.w.Write(lines)
	if err != nil {
		lost = countLines(lines[min(n, len(lines)):])
	}
	return lost, err
}

// teller tells of lost lines, not too often.
type teller struct {
	lost int64
	err  error
	last time.Time
}

func (t *teller) add(lost int64, err error) {
	t.lost += lost
	if err != nil {
		t.err = err
	}
}

func (t *teller) tell(log *slog.Logger, now bool) {
	if t.lost == 0 || !now && !t.last.IsZero() && time.Since(t.last) < tellEvery {
		return
	}
	args := []any{"lost", t.lost}
	if t.err != nil {
		args = append(args, "error", t.err)
	}
	log.Warn("lines of the access log are lost", args...)
	t.lost, t.err, t.last = 0, nil, time.Now()
}
