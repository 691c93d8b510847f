package accesslog

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gowsgi/gowsgi/pyhost"
)

func record(pairs ...string) (rec []byte) {
	for i := 0; i < len(pairs); i += 2 {
		rec = pyhost.AppendPair(rec, pairs[i], pairs[i+1])
	}
	return rec
}

// browserEntry is an entry of an ordinary request.
func browserEntry() *Entry {
	return &Entry{
		Start: 0, End: 1234567 * time.Nanosecond, Queue: 100 * time.Microsecond, Python: time.Millisecond, Thread: 3, Status: 200,
		BytesIn: 420, BytesOut: 1150, HeadOut: 150,
		Environ: record("REQUEST_METHOD", "GET", "SCRIPT_NAME", "", "PATH_INFO", "/polls/42/", "QUERY_STRING", "page=2", "RAW_URI", "/polls/42/?page=2",
			"REQUEST_URI", "/polls/42/?page=2", "SERVER_PROTOCOL", "HTTP/1.1", "SERVER_NAME", "127.0.0.1", "SERVER_PORT", "8000",
			"SERVER_SOFTWARE", "gowsgi", "REMOTE_ADDR", "203.0.113.9", "REMOTE_PORT", "50000", "wsgi.url_scheme", "http", "HTTP_HOST", "example.org",
			"HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "HTTP_ACCEPT", "text/html,application/xhtml+xml",
			"HTTP_ACCEPT_LANGUAGE", "en", "HTTP_REFERER", "https://example.org/polls/", "HTTP_COOKIE", "sessionid=0123456789abcdef0123456789abcdef",
			requestID, "0123456789abcdef0123456789abcdef"),
		Headers: record("Content-Type", "text/html", "X-Cache", "no"),
	}
}

func mustParse(t testing.TB, text string) *Format {
	f, err := ParseFormat(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func lineOf(f *Format, e *Entry, limit int) string {
	var d dates
	d.sync(e.End)
	return string(f.append(nil, e, f.newValues(), &d, 2, limit))
}

// combinedLine is what readers of Apache's format look for.
var combinedLine = regexp.MustCompile(`^(\S+) (\S+) (\S+) \[(\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "([^"]*)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"\n$`)

func TestTheCombinedFormatIsApaches(t *testing.T) {
	m := combinedLine.FindStringSubmatch(lineOf(mustParse(t, "combined"), browserEntry(), 0))
	want := []string{"203.0.113.9", "-", "-", "GET /polls/42/?page=2 HTTP/1.1", "200", "1000", "https://example.org/polls/",
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
	if m == nil {
		t.Fatal("no line of Apache's")
	}
	if got := append(m[1:4:4], m[5:]...); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q", got)
	}
	if at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[4]); err != nil || time.Since(at).Abs() > time.Minute {
		t.Error(m[4], err)
	}
}

func TestAJSONLineHasTheDocumentedFields(t *testing.T) {
	var got map[string]any
	line := lineOf(mustParse(t, "json"), browserEntry(), 0)
	if err := json.Unmarshal([]byte(line), &got); err != nil || strings.Count(line, "\n") != 1 {
		t.Fatal(err, line)
	}
	at, err := time.Parse(time.RFC3339Nano, got["time"].(string))
	if err != nil || time.Since(at).Abs() > time.Minute {
		t.Error(got["time"], err)
	}
	delete(got, "time")
	want := map[string]any{
		"duration": 0.001234, "queue_time": 0.0001, "python_time": 0.001, "status": 200.0, "ended": "ok", "method": "GET", "target": "/polls/42/?page=2",
		"protocol": "HTTP/1.1", "scheme": "http", "host": "example.org", "remote_addr": "203.0.113.9", "referer": "https://example.org/polls/",
		"user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "bytes_in": 420.0, "bytes_out": 1150.0,
		"body_bytes_out": 1000.0, "worker": 2.0, "thread": 3.0, "request_id": "0123456789abcdef0123456789abcdef",
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %v, not %v", name, got[name], value)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("also %v", got)
	}
}

func TestDirectivesAreApachesAndGunicorns(t *testing.T) {
	for format, want := range map[string]string{
		"%h %a %l %u":                    "203.0.113.9 203.0.113.9 - -",
		"%m %U %q %H":                    "GET /polls/42/ ?page=2 HTTP/1.1",
		"%v %f":                          "example.org https://example.org/polls/",
		"%s %>s %b %B %I %O":             "200 200 1000 1000 420 1150",
		"%T %M %D %L":                    "0 1 1234 0.001234",
		"%{accept-language}i %{nosuch}i": "en -",
		"%{x-cache}o %{nosuch}o":         "no -",
		"%{SERVER_PORT}e":                "8000",
		"%{queue_time}x %{python_time}x %{thread}x %{worker}x %{ended}x": "0.000100 0.001000 3 2 ok",
		"100%% %h": "100% 203.0.113.9",
		`%(h)s %(l)s %(u)s "%(r)s" %(s)s %(b)s %(B)s "%(f)s" %(L)s`: `203.0.113.9 - - "GET /polls/42/?page=2 HTTP/1.1" 200 1000 1000 "https://example.org/polls/" 0.001234`,
		`"%(a)s" %(U)s%(q)s`:              `"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0" /polls/42/?page=2`,
		"%({accept-language}i)s":          "en",
		"%({x-cache}o)s":                  "no",
		"%{Content-Type}i\t%{HTTP_HOST}e": "-\texample.org",
	} {
		if got := lineOf(mustParse(t, format), browserEntry(), 0); got != want+"\n" {
			t.Errorf("%s: %q", format, got)
		}
	}
}

func TestAnUnknownDirectiveIsNamed(t *testing.T) {
	for format, named := range map[string]string{
		"%h %Z": "%Z", "%{x}z": "%{x}z", "%{nosuch}x": "%{nosuch}x", "%(nosuch)s": "%(nosuch)s", "%(h": "%(h", "%{Referer": "%{Referer",
		"%": "%", "%{}i": "%{}i", "%>b": "%>b", "commbined": "commbined", "": `""`, "%h\n%r": `'\n'`,
	} {
		if _, err := ParseFormat(format); err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("%q: %v", format, err)
		}
	}
}

func TestNoByteOfAClientForgesALineOrAField(t *testing.T) {
	var all strings.Builder
	for c := range 256 {
		all.WriteByte(byte(c))
	}
	hostile := all.String() + `" 200 1 "` + "\r\n" + `127.0.0.1 - - [x] "GET / HTTP/1.1" 200 1 "-" "-"` + "\n" + `","status":200,"x":"` + "\u202e\u2028é😀"
	e := &Entry{Status: 404, Environ: record("REQUEST_METHOD", hostile, "RAW_URI", hostile, "SERVER_PROTOCOL", "HTTP/1.1", "REMOTE_ADDR", "::1",
		"HTTP_REFERER", hostile, "HTTP_USER_AGENT", hostile, "HTTP_HOST", hostile, requestID, hostile)}
	unparsed := &Entry{Status: 400, Ended: Refused, Line: []byte(hostile), Environ: record("REMOTE_ADDR", "::1")}
	for _, e := range []*Entry{e, unparsed} {
		line := lineOf(mustParse(t, "combined"), e, 0)
		if m := combinedLine.FindStringSubmatch(line); m == nil || m[1] != "::1" {
			t.Errorf("%q", line)
		}
		for _, c := range []byte(strings.TrimSuffix(line, "\n")) {
			if c < ' ' || c > '~' {
				t.Errorf("the byte %#x", c)
			}
		}
		line = lineOf(mustParse(t, "json"), e, 0)
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil || got["status"] != float64(e.Status) || got["x"] != nil {
			t.Errorf("%v: %q", err, line)
		}
		want := strings.ToValidUTF8(hostile[:128], "") + strings.Repeat("\ufffd", 128) + strings.ToValidUTF8(hostile[256:], "")
		if e.Line != nil && got["line"] != want || e.Line == nil && got["user_agent"] != want {
			t.Errorf("%q", got)
		}
		for _, c := range line[:len(line)-1] {
			if c < ' ' || c > '~' || c == utf8.RuneError {
				t.Errorf("the character %#x", c)
			}
		}
	}
	for _, format := range []string{"%{User-Agent}i %s", "%{User-Agent}i|%s", "%{User-Agent}i;%s", "%{User-Agent}i\t%s", `%{User-Agent}i"%s`} {
		separator := format[len("%{User-Agent}i")]
		if got := lineOf(mustParse(t, format), e, 0); strings.Count(got, string(separator)) != 1 || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %q", format, got)
		}
	}
}

func TestALongFieldIsCutAndTheLineStaysWhole(t *testing.T) {
	long := strings.Repeat("\x01é\"", 20000)
	e := &Entry{Status: 200, Environ: record("REQUEST_METHOD", "GET", "RAW_URI", "/"+long, "SERVER_PROTOCOL", "HTTP/1.1", "REMOTE_ADDR", "::1",
		"HTTP_REFERER", long, "HTTP_USER_AGENT", long, "HTTP_HOST", long)}
	for _, limit := range []int{0, PipeLimit} {
		line := lineOf(mustParse(t, "combined"), e, limit)
		if !combinedLine.MatchString(line) {
			t.Errorf("%q", line)
		}
		other := lineOf(mustParse(t, "json"), e, limit)
		var got map[string]any
		if err := json.Unmarshal([]byte(other), &got); err != nil || got["target"] == "" {
			t.Errorf("%v: %q", err, other)
		}
		if n := max(len(line), len(other)); limit > 0 && n > limit || n > 6*maxText {
			t.Error(n)
		}
	}
}

func TestARequestWithoutAResponseIsLoggedAsNginxDoes(t *testing.T) {
	for ended, want := range map[Ended]string{ClientGone: "499 client_gone\n", Cut: "444 cut\n"} {
		if got := lineOf(mustParse(t, "%s %{ended}x"), &Entry{Ended: ended}, 0); got != want {
			t.Errorf("%q", got)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("GET", "/?a=b", "Mozilla", "%h|%{User-Agent}i %U%q")
	combined, jsonLines := mustParse(f, "combined"), mustParse(f, "json")
	f.Fuzz(func(t *testing.T, method, target, agent, format string) {
		e := &Entry{Status: 200, Environ: record("REQUEST_METHOD", method, "RAW_URI", target, "HTTP_USER_AGENT", agent, "HTTP_REFERER", target)}
		if line := lineOf(combined, e, PipeLimit); !combinedLine.MatchString(line) || len(line) > PipeLimit {
			t.Errorf("%q", line)
		}
		if line := lineOf(jsonLines, e, PipeLimit); !json.Valid([]byte(line)) || strings.Count(line, "\n") != 1 || len(line) > PipeLimit {
			t.Errorf("%q", line)
		}
		if own, err := ParseFormat(format); err == nil {
			if line := lineOf(own, e, 0); strings.Count(line, "\n") != 1 {
				t.Errorf("%q", line)
			}
		}
	})
}
