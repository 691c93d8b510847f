package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChunkReachesClientWhileNextIsMade(t *testing.T) {
	t.Parallel()
	s := shared(t, "slow_stream")
	for _, path := range []string{"/", "/length"} {
		file, open := gate(t)
		r := s.dial(t).do("GET", path, "", "X-Gate: "+file)
		if got := r.atLeast(3); got != "one" {
			t.Fatalf("%s: %q", path, got)
		}
		if s.countLog("stream ended "+file) > 0 {
			t.Errorf("%s: the stream ended before the gate opened", path)
		}
		open()
		if got := r.body(); got != "two" {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestARunOfChunksInAnHTTP10ResponseReachesTheClientOneByOne(t *testing.T) {
	t.Parallel()
	file, open := gate(t)
	c := shared(t, "slow_stream").dial(t)
	c.send("GET / HTTP/1.0\r\nX-Gate: " + file + "\r\n\r\n")
	r := c.head("GET")
	if got := r.atLeast(3); got != "one" || r.framing != "close" {
		t.Fatalf("%q %s", got, r.framing)
	}
	open()
	if got := r.body(); got != "two" {
		t.Errorf("%q", got)
	}
}

func TestContentLengthIsKeptAndTheConnectionStaysUsable(t *testing.T) {
	t.Parallel()
	c := shared(t, "lengths").dial(t)
	for path, want := range map[string]string{"/exact_list": "body", "/exact_generator": "body", "/zero": "", "/none": "body"} {
		r := c.do("GET", path, "")
		if got := r.body(); got != want || path != "/none" && r.framing != "length" {
			t.Errorf("%s: %q by %s", path, got, r.framing)
		}
	}
}

func TestAResponseLongerThanItsContentLengthIsCutThereAndLogged(t *testing.T) {
	t.Parallel()
	s := shared(t, "lengths")
	for _, path := range []string{"/long_one", "/long_list", "/long_generator", "/long_zero"} {
		c := s.dial(t)
		r := c.do("GET", path, "")
		if got := r.body(); got != map[bool]string{true: "", false: "body"}[path == "/long_zero"] {
			t.Errorf("%s: %q", path, got)
		}
		// Nothing of the rest may be on the wire: the next thing is a response or the end.
		c.request("GET", "/zero", "")
		if r, err := c.tryHead("GET"); err == nil && r.status != 200 {
			t.Errorf("%s: then %d", path, r.status)
		} else if err != nil && strings.Contains(err.Error(), "line") {
			t.Errorf("%s: then %v", path, err)
		}
		s.waitLog(t, path)
	}
}

func TestAResponseShorterThanItsContentLengthEndsTheConnection(t *testing.T) {
	t.Parallel()
	s := shared(t, "lengths")
	for _, path := range []string{"/short_list", "/short_generator", "/short_empty"} {
		r := s.dial(t).do("GET", path, "")
		if r.status == 500 { // nothing was sent yet: an honest answer is as good
			r.body()
			continue
		}
		got, err := r.pieces()
		if err == nil || len(strings.Join(got, "")) > 4 {
			t.Errorf("%s: %d %q %v", path, r.status, got, err)
		}
		s.waitLog(t, path)
	}
}

func TestAContentLengthThatIsNoNumberIsAnError(t *testing.T) {
	t.Parallel()
	s := shared(t, "lengths")
	for _, path := range []string{"/not_a_number", "/negative", "/plus_sign", "/huge"} {
		if r, _ := s.get(t, path); r.status != 500 {
			t.Errorf("%s: %d %q", path, r.status, r.header)
		}
	}
	c := s.dial(t)
	if r := c.do("GET", "/padded", ""); r.status != 500 && (r.status != 200 || r.value("Content-Length") != "4" || r.body() != "body") {
		t.Errorf("/padded: %d %q", r.status, r.header)
	}
	for _, two := range [][]any{{"Content-Length", "4"}, {"content-length", "5"}} {
		r, _ := shared(t, "respond").get(t, respondTo(map[string]any{"headers": []any{[]any{"Content-Length", "4"}, two}}))
		if n := len(r.values("Content-Length")); r.status != 500 && n != 1 {
			t.Errorf("two lengths: %d %q", r.status, r.header)
		}
	}
}

func TestHeaderNamesAndOrderAreKept(t *testing.T) {
	t.Parallel()
	want := [][2]string{{"x-lower", "1"}, {"X-UPPER", "2"}, {"ETag", `"3"`}, {"Set-Cookie", "a=1"}, {"X-Between", ""}, {"set-COOKIE", "b=2"}, {"WWW-Authenticate", "Basic"},
		{"content-TYPE", "text/x-test"}, {"X-Latin", "caf\xe9"}}
	headers := []any{}
	for _, h := range want {
		headers = append(headers, []any{h[0], strings.ReplaceAll(h[1], "\xe9", "\u00e9")})
	}
	r, _ := shared(t, "respond").get(t, respondTo(map[string]any{"headers": headers}))
	got := [][2]string{}
	for _, h := range r.header {
		for _, w := range want {
			if h[0] == w[0] && !strings.EqualFold(h[0], "set-cookie") || h == w {
				got = append(got, h)
				break
			}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s\nall: %q", d, r.header)
	}
}

func TestNothingIsAddedThatTheAppSetItself(t *testing.T) {
	t.Parallel()
	s := shared(t, "respond")
	r, _ := s.get(t, respondTo(map[string]any{"headers": []any{[]any{"server", "mine"}, []any{"DATE", "Thu, 01 Jan 1970 00:00:00 GMT"}, []any{"content-type", "x/y"}}}))
	for name, want := range map[string]string{"Server": "mine", "Date": "Thu, 01 Jan 1970 00:00:00 GMT", "Content-Type": "x/y"} {
		if d := cmp.Diff([]string{want}, r.values(name)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	r, _ = s.get(t, respondTo(map[string]any{}))
	if len(r.values("Date")) != 1 || len(r.values("Server")) > 1 || len(r.values("Content-Type")) != 0 {
		t.Errorf("without headers of the app: %q", r.header)
	}
}

func TestAFieldValueHasNoWhitespaceAroundIt(t *testing.T) { // RFC 9110, section 5.5; Django's Set-Cookie begins with a space
	t.Parallel()
	headers := []any{[]any{"X-A", " a b\t"}, []any{"X-B", " \t "}, []any{"X-C", "c"}}
	r, _ := shared(t, "respond").get(t, respondTo(map[string]any{"headers": headers}))
	if r.value("X-A") != "a b" || r.value("X-B") != "" || r.value("X-C") != "c" {
		t.Errorf("%q", r.header)
	}
}

func TestHopByHopHeadersFromTheAppAreRefused(t *testing.T) {
	t.Parallel()
	s := shared(t, "respond")
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailers", "Transfer-Encoding", "Upgrade", "transfer-encoding", "CONNECTION"} {
		if r, _ := s.get(t, respondTo(map[string]any{"headers": []any{[]any{name, "chunked"}}})); r.status != 500 {
			t.Errorf("%s: %d %q", name, r.status, r.header)
		}
		s.waitLog(t, name)
	}
}

func TestCRLFAndNULNeverReachTheWire(t *testing.T) {
	t.Parallel()
	s := shared(t, "respond")
	for _, bad := range []string{"\r\nX-Injected: 1", "\n", "\r", "\x00", "\r\n\r\nbody", "\x0b", "\x7f"} {
		control := bad == "\x0b" || bad == "\x7f"
		for place, spec := range map[string]map[string]any{
			"status": {"status": "200 OK" + bad},
			"name":   {"headers": []any{[]any{"X-Bad-Name" + bad, "v"}}},
			"value":  {"headers": []any{[]any{"X-Bad-Value", "v" + bad}}},
		} {
			c := s.dial(t)
			r := c.do("GET", respondTo(spec), "")
			r.body()
			if len(r.values("X-Injected")) > 0 || r.status != 500 && !(control && place != "name") {
				t.Errorf("%q in the %s: %d %q", bad, place, r.status, r.header)
			}
		}
	}
	s.waitLog(t, "X-Bad-Value")
	s.waitLog(t, "X-Bad-Name")
}

func TestABadStatusOrHeaderNameIsAnError(t *testing.T) {
	t.Parallel()
	s := shared(t, "respond")
	for _, status := range []string{"", "200", "OK", "20 OK", "2000 OK", "abc OK", " 200 OK", "099 Low", "101 Switching Protocols", "100 Continue"} {
		r, _ := s.get(t, respondTo(map[string]any{"status": status}))
		if r.status != 500 && !(status == "200" && r.status == 200) {
			t.Errorf("status %q: %d %q", status, r.status, r.reason)
		}
	}
	for _, name := range []string{"", "X A", "X:A", "X\tA", "X(A)", " X"} {
		if r, _ := s.get(t, respondTo(map[string]any{"headers": []any{[]any{name, "v"}}})); r.status != 500 {
			t.Errorf("name %q: %d %q", name, r.status, r.header)
		}
	}
}

func TestTypesThatPEP3333DoesNotAllowAreErrors(t *testing.T) {
	t.Parallel()
	s := shared(t, "header_types")
	for _, path := range []string{"status_bytes", "status_none", "name_bytes", "value_bytes", "value_int", "value_none", "pair_of_one", "pair_of_three", "pair_is_str",
		"headers_none", "headers_int", "headers_dict", "value_not_latin1", "name_not_latin1", "status_not_latin1", "value_surrogate"} {
		if r, _ := s.get(t, "/"+path); r.status != 500 {
			t.Errorf("%s: %d %q", path, r.status, r.header)
		}
	}
	if r, body := s.get(t, "/str_subclass"); r.status != 500 && (r.status != 200 || body != "body" || r.value("X-A") != "b") {
		t.Errorf("str_subclass: %d %q", r.status, r.header)
	}
}

func TestHEAD204And304HaveNoBody(t *testing.T) {
	t.Parallel()
	s := shared(t, "respond")
	c := s.dial(t)
	for _, row := range []struct {
		method, status string
		headers        []any
		list           bool
	}{
		{"HEAD", "200 OK", nil, true}, {"HEAD", "200 OK", nil, false}, {"HEAD", "200 OK", []any{[]any{"Content-Length", "4"}}, true},
		{"HEAD", "404 Not Found", nil, false}, {"GET", "204 No Content", nil, true}, {"GET", "204 No Content", nil, false},
		{"GET", "304 Not Modified", nil, true}, {"GET", "304 Not Modified", nil, false}, {"HEAD", "304 Not Modified", nil, false},
	} {
		spec := map[string]any{"status": row.status, "list": row.list}
		if row.headers != nil {
			spec["headers"] = row.headers
		}
		r := c.do(row.method, respondTo(spec), "")
		if fmt.Sprintf("%d %s", r.status, r.reason) != row.status {
			t.Errorf("%s %s: %d", row.method, row.status, r.status)
		}
		if r.status == 204 && (len(r.values("Content-Length"))+len(r.values("Transfer-Encoding")) > 0) {
			t.Errorf("204 with a length: %q", r.header) // RFC 9110 section 8.6
		}
		if row.headers != nil && r.value("Content-Length") != "4" {
			t.Errorf("HEAD: the app's Content-Length is lost: %q", r.header)
		}
	}
	c.usable(respondTo(map[string]any{})) // whatever came of a body would be in the way
}

func TestFileWrapperSendsFromTheCurrentPosition(t *testing.T) {
	t.Parallel()
	var all bytes.Buffer
	for range 4096 {
		for i := range 256 {
			all.WriteByte(byte(i))
		}
	}
	data := all.String()
	s := shared(t, "file_wrapper")
	c := s.dial(t)
	for target, want := range map[string]string{
		"/file": data, "/position": data[1000:], "/partly_read": data[10:], "/at_end": "", "/empty": "", "/bytesio": data,
		"/gzip": strings.Repeat("unzipped", 100), "/gzip_file": strings.Repeat("unzipped", 100), "/pipe": "through a pipe", "/only_read": "only,read",
		"/bad_fileno": "body", "/closes": "body", "/file?block=1000": data, "/bytesio?block=1000": data, "/only_read?block=100": "only,read",
		"/file?length=1048576": data, "/file?length=1000": data[:1000], "/bytesio?length=1000": data[:1000], "/position?length=5": data[1000:1005],
		"/file?iterate": data, "/bytesio?iterate": data,
	} {
		if strings.Contains(target, "length=1000") || strings.Contains(target, "length=5") {
			c = s.dial(t) // the server may close after a response that was too long
		}
		r := c.do("GET", target, "")
		if got := r.body(); r.status != 200 || got != want {
			t.Errorf("%s: %d, %d bytes, expected %d", target, r.status, len(got), len(want))
		}
		if strings.Contains(target, "length=1000") || strings.Contains(target, "length=5") {
			c = s.dial(t)
		}
	}
	s.waitLog(t, "file closed")
	if r, got := s.get(t, "/unbuffered"); r.status != 200 || !strings.Contains(got, "wsgi.file_wrapper") {
		t.Errorf("unbuffered: %d", r.status)
	}
	if r, _ := s.get(t, "/text"); r.status != 500 {
		t.Errorf("text: %d", r.status)
	}
	if r := c.do("HEAD", "/file", ""); r.status != 200 {
		t.Errorf("HEAD: %d", r.status)
	}
	c.usable("/empty")
	r := s.dial(t).do("GET", "/file?length=2000000", "")
	// A reset may overtake what was sent before it.
	if got, err := r.pieces(); err == nil || !strings.HasPrefix(data, strings.Join(got, "")) {
		t.Errorf("a file shorter than the Content-Length: %v", err)
	}
}

func TestFileWrapperLeavesNoDescriptorOpen(t *testing.T) {
	t.Parallel()
	s := start(t, "file_wrapper", options{})
	c := s.dial(t)
	for range 20 {
		c.do("GET", "/file", "").body()
	}
	before := openFiles(t, s.pid)
	for range 200 {
		for _, path := range []string{"/file", "/empty", "/at_end", "/gzip_file", "/pipe"} {
			c.do("GET", path, "").body()
		}
		c.do("HEAD", "/file", "")
	}
	eventually(t, "the descriptors are closed", func() bool { return openFiles(t, s.pid) <= before+3 })
}
