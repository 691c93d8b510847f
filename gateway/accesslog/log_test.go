package accesslog

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink keeps what is written, after it was told to go on.
type sink struct {
	mu     sync.Mutex
	b      bytes.Buffer
	writes int
	fail   error
	open   chan struct{} // nil: always
}

func (s *sink) Write(p []byte) (int, error) {
	if s.open != nil {
		<-s.open
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.fail != nil {
		return 0, s.fail
	}
	return s.b.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func closeLog(t *testing.T, l *Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestLinesAreGatheredAndWrittenSoon(t *testing.T) {
	s := &sink{}
	l := New(s, Options{Format: mustParse(t, "%s %{worker}x"), Worker: 3})
	for range 1000 {
		l.Add(&Entry{Status: 200})
	}
	waitFor(t, "the lines", func() bool { return strings.Count(s.String(), "\n") == 1000 })
	if strings.Trim(s.String(), "\n 0123") != "" || !strings.HasPrefix(s.String(), "200 3\n") {
		t.Errorf("%.100q", s.String())
	}
	if s.writes > 100 {
		t.Errorf("%d writes", s.writes)
	}
	closeLog(t, l)
}

func TestWhatWasAddedIsWrittenAtClose(t *testing.T) {
	s := &sink{}
	l := New(s, Options{})
	l.Add(&Entry{Status: 200})
	closeLog(t, l)
	if strings.Count(s.String(), "\n") != 1 {
		t.Errorf("%q", s.String())
	}
	l.Add(&Entry{Status: 200}) // is lost, and harms nothing
	closeLog(t, New(s, Options{}))
}

func TestASlowWriterHoldsNobodyAndLinesThatDoNotFitAreCounted(t *testing.T) {
	s, told := &sink{open: make(chan struct{})}, &sink{}
	l := New(s, Options{Format: mustParse(t, "%{x}e"), Logger: slog.New(slog.NewTextHandler(told, nil))})
	e := &Entry{Environ: record("x", strings.Repeat("y", 1000))}
	for range 3 * mostWaiting / 1000 {
		l.Add(e)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	l.mu.Lock()
	if n := cap(l.lines); n > 2*mostWaiting {
		t.Errorf("%d bytes", n)
	}
	l.mu.Unlock()
	close(s.open)
	closeLog(t, l)
	lines := strings.Count(s.String(), "\n")
	if lines < mostWaiting/1001 || lines > 2*mostWaiting/1001+2 {
		t.Error(lines)
	}
	waitFor(t, "the count", func() bool { return strings.Contains(told.String(), "lost=") })
}

func TestFailedWritesAreCountedAndToldNotTooOften(t *testing.T) {
	s, told := &sink{fail: errors.New("the disk is full")}, &sink{}
	l := New(s, Options{Logger: slog.New(slog.NewTextHandler(told, nil))})
	for n := range 3 {
		l.Add(&Entry{})
		waitFor(t, "the write", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.writes > n
		})
	}
	closeLog(t, l)
	if text := told.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, `lost=1 error="the disk is full"`) || !strings.Contains(text, "lost=2") {
		t.Error(text)
	}
}

// pieces keeps each write.
type pieces [][]byte

func (p *pieces) Write(b []byte) (int, error) {
	*p = append(*p, bytes.Clone(b))
	return len(b), nil
}

func TestAPipeGetsWholeLinesInPiecesThatStayTogether(t *testing.T) {
	var lines []byte
	for n := range 300 {
		lines = append(append(lines, strings.Repeat("x", n)...), '\n')
	}
	var p pieces
	if n, err := ToPipe(&p).Write(lines); n != len(lines) || err != nil {
		t.Error(n, err)
	}
	if !bytes.Equal(bytes.Join(p, nil), lines) || len(p) > 15 {
		t.Errorf("%d pieces", len(p))
	}
	for _, b := range p {
		if len(b) > PipeLimit || b[len(b)-1] != '\n' {
			t.Errorf("%d bytes, %q", len(b), b[len(b)-1])
		}
	}
}

// shortWriter takes some bytes, then fails until there is room.
type shortWriter struct {
	room int
	b    bytes.Buffer
}

func (s *shortWriter) Write(p []byte) (int, error) {
	n, _ := s.b.Write(p[:min(s.room, len(p))])
	if s.room -= n; n < len(p) {
		return n, errors.New("full")
	}
	return n, nil
}

func TestALineThatTheDiskDidNotTakeWholeEndsBeforeTheNext(t *testing.T) {
	s := &shortWriter{room: 6}
	w := ToFile(s)
	if n, err := w.Write([]byte("one\ntwo\nthree\n")); n != 6 || err == nil {
		t.Error(n, err)
	}
	if _, err := w.Write([]byte("lost\n")); err == nil {
		t.Error("written")
	}
	s.room = 100
	if _, err := w.Write([]byte("four\n")); err != nil {
		t.Error(err)
	}
	if got := s.b.String(); got != "one\ntw\nfour\n" {
		t.Errorf("%q", got)
	}
}

func TestLinesAreHandedOnOneByOne(t *testing.T) {
	var p pieces
	if n, err := EachLine(&p).Write([]byte("one\ntwo\n")); n != 8 || err != nil {
		t.Error(n, err)
	}
	if got := string(bytes.Join(p, []byte("|"))); got != "one|two" {
		t.Errorf("%q", got)
	}
}

func TestEachEntryIsGivenToAFunctionWithItsTimesBeforeAddReturns(t *testing.T) {
	var got []Entry
	l := NewEach(func(e Entry) { got = append(got, e) })
	if !l.WantsTimes() || l.WantsRequestID() {
		t.Error("it wants no times, or ids")
	}
	l.Add(&Entry{Status: 200, Start: 1})
	l.Add(&Entry{Status: 404, Start: 1, End: 5})
	if len(got) != 2 || got[0].Status != 200 || got[0].End <= 1 || got[1].Status != 404 || got[1].End != 5 {
		t.Errorf("%+v", got)
	}
	closeLog(t, l)
}

func TestAnEntryAllocatesNothing(t *testing.T) {
	for _, format := range []string{"combined", "json"} {
		l := New(&sink{open: make(chan struct{})}, Options{Format: mustParse(t, format)})
		e := browserEntry()
		l.lines = make([]byte, 0, 1<<19)
		if n := testing.AllocsPerRun(500, func() { l.Add(e) }); n != 0 {
			t.Errorf("%s: %v allocations", format, n)
		}
	}
}
