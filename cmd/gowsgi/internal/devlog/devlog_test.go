package devlog

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/pyhost"
)

// writes keeps each write. Its user guards it.
type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}

func environ(method, target string, more ...string) (rec []byte) {
	rec = pyhost.AppendPair(rec, "REQUEST_METHOD", method)
	rec = pyhost.AppendPair(rec, "RAW_URI", target)
	for i := 0; i < len(more); i += 2 {
		rec = pyhost.AppendPair(rec, more[i], more[i+1])
	}
	return rec
}

// lineOf is the line of an entry without its end, with the time of day replaced by TIME.
func lineOf(t *testing.T, e accesslog.Entry, color bool) string {
	t.Helper()
	var w writes
	New(&w, color).Add(&e)
	if len(w) != 1 || strings.Count(w[0], "\n") != 1 || !strings.HasSuffix(w[0], "\n") {
		t.Fatalf("%q", w)
	}
	return regexp.MustCompile(`\d\d:\d\d:\d\d`).ReplaceAllString(strings.TrimSuffix(w[0], "\n"), "TIME")
}

func TestALineSaysWhatTheRequestWasAndHowItEnded(t *testing.T) {
	const ms = time.Millisecond
	get := environ("GET", "/polls/?page=2")
	for name, c := range map[string]struct {
		e    accesslog.Entry
		want string
	}{
		"ordinary":  {accesslog.Entry{Status: 200, End: 12 * ms, BytesOut: 3550, HeadOut: 150, Environ: get}, "TIME GET /polls/?page=2 200 12 ms 3.4 kB"},
		"no status": {accesslog.Entry{Ended: accesslog.ClientGone, End: ms, Environ: get}, "TIME GET /polls/?page=2 - 1.0 ms 0 B  the client left"},
		"timeout":   {accesslog.Entry{Status: 504, Ended: accesslog.Timeout, End: ms, Environ: get}, "TIME GET /polls/?page=2 504 1.0 ms 0 B  timed out"},
		"app":       {accesslog.Entry{Status: 500, Ended: accesslog.AppError, End: ms, Environ: get}, "TIME GET /polls/?page=2 500 1.0 ms 0 B  the app failed"},
		"cut": {accesslog.Entry{Status: 200, Ended: accesslog.Cut, End: ms, BytesOut: 14, Environ: get},
			"TIME GET /polls/?page=2 200 1.0 ms 14 B  cut off by the server"},
		"not parsed": {accesslog.Entry{Status: 400, Ended: accesslog.Refused, End: ms, Line: []byte("\x16\x03\x01")},
			`TIME \x16\x03\x01 400 1.0 ms 0 B  refused by the server`},
		"slow": {accesslog.Entry{Status: 200, End: 1500 * ms, Queue: 20 * ms, Python: 1200 * ms, Environ: get},
			"TIME GET /polls/?page=2 200 1.50 s 0 B  queue 20 ms, Python 1.20 s, sending 280 ms"},
		"rather slow": {accesslog.Entry{Status: 200, End: 500 * ms, Python: 500 * ms, Environ: get},
			"TIME GET /polls/?page=2 200 500 ms 0 B  queue 0.0 ms, Python 500 ms, sending 0.0 ms"},
		"slow upload": {accesslog.Entry{Status: 200, End: 1000 * ms, Python: 5 * ms, Environ: environ("POST", "/", "CONTENT_LENGTH", "5000000")},
			"TIME POST / 200 1.00 s 0 B  queue 0.0 ms, Python 5.0 ms, receiving and sending 995 ms"},
	} {
		if got := lineOf(t, c.e, false); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

func TestColoursShowTheStatusAndHowSlowItWas(t *testing.T) {
	get := environ("GET", "/")
	for status, want := range map[int]string{200: "32", 101: "32", 304: "36", 404: "33", 500: "31", 0: "31"} {
		got := lineOf(t, accesslog.Entry{Status: status, Environ: get}, true)
		if ok, _ := regexp.MatchString(`^\x1b\[2mTIME\x1b\[0m GET / \x1b\[`+want+`m(\d{3}|-)\x1b\[0m 0\.0 ms \x1b\[2m0 B\x1b\[0m$`, got); !ok {
			t.Errorf("%d: %q", status, got)
		}
	}
	for took, want := range map[time.Duration]string{700 * time.Millisecond: "\x1b[33m700 ms\x1b[0m", 2 * time.Second: "\x1b[31m2.00 s\x1b[0m"} {
		if got := lineOf(t, accesslog.Entry{Status: 200, End: took, Environ: get}, true); !strings.Contains(got, want) {
			t.Errorf("%v: %q", took, got)
		}
	}
}

func TestNothingOfAClientReachesTheTerminalButPrintableASCIIOfASaneLength(t *testing.T) {
	var all strings.Builder
	for c := range 256 {
		all.WriteByte(byte(c))
	}
	hostile := "\x1b[2J\r\n" + all.String() + strings.Repeat("x", 100000)
	for _, e := range []accesslog.Entry{{Status: 400, Line: []byte(hostile)}, {Status: 200, Environ: environ(hostile, hostile)}} {
		got := lineOf(t, e, false)
		for _, c := range []byte(got) {
			if c < ' ' || c > '~' {
				t.Errorf("the byte %#x", c)
			}
		}
		if len(got) > 1000 || !strings.Contains(got, `\x1B[2J\x0D\x0A\x00`) || !strings.Contains(got, "...") {
			t.Errorf("%d bytes: %.200s", len(got), got)
		}
	}
}

func TestTheServersOwnPagesAreNotLogged(t *testing.T) {
	var w writes
	l := New(&w, false)
	for _, target := range []string{"/__gowsgi__/events", "/__gowsgi__/dev.js?x", "/polls/", "/x?next=/__gowsgi__/", "/__gowsgi__"} {
		l.Add(&accesslog.Entry{Status: 200, Environ: environ("GET", target)})
	}
	if len(w) != 3 || strings.Contains(strings.Join(w, ""), "events") {
		t.Errorf("%q", w)
	}
}

func TestLinesOfSeveralGoroutinesStayWhole(t *testing.T) {
	var w bytes.Buffer
	l := New(&w, false)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				l.Add(&accesslog.Entry{Status: 200, Environ: environ("GET", "/")})
			}
		})
	}
	all.Wait()
	for line := range strings.Lines(w.String()) {
		if !strings.HasSuffix(line, " GET / 200 0.0 ms 0 B\n") {
			t.Fatalf("%q", line)
		}
	}
	if n := strings.Count(w.String(), "\n"); n != 800 {
		t.Error(n)
	}
}

func TestDurationsAndSizesHaveTheDigitsThatMatter(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0.0 ms", 0: "0.0 ms", 400 * time.Microsecond: "0.4 ms", 9949 * time.Microsecond: "9.9 ms", 9960 * time.Microsecond: "10 ms",
		999499 * time.Microsecond: "999 ms", 999500 * time.Microsecond: "1.00 s", 59990 * time.Millisecond: "59.99 s", 59996 * time.Millisecond: "1m0s",
		125 * time.Second: "2m5s",
	} {
		if got := duration(d); got != want {
			t.Errorf("%d: %s, not %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{
		-5: "0 B", 0: "0 B", 999: "999 B", 1000: "1.0 kB", 3400: "3.4 kB", 999949: "999.9 kB", 999950: "1.0 MB", 5e9: "5.0 GB", 7e15: "7000.0 TB",
	} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, not %s", n, got, want)
		}
	}
}
