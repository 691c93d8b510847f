package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEnvironHoldsWhatPEP3333Names(t *testing.T) {
	t.Parallel()
	s := shared(t, "environ")
	c := s.dial(t)
	c.request("POST", "/caf%C3%A9/a%2Fb%20c//./x/../y?q=%C3%A9&a=b+c", "body", "X-Text: one", "Content-Type: text/x-test",
		"x-LOWER: \xe9", "Cookie: a=1", "Cookie: b=2", "X-Twice: 1", "X-Twice: 2")
	var env map[string]any
	if err := json.Unmarshal([]byte(c.head("POST").body()), &env); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(s.addr, ":")
	got, want := map[string]any{}, map[string]any{
		"REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/caf\u00c3\u00a9/a/b c//./x/../y", "QUERY_STRING": "q=%C3%A9&a=b+c",
		"CONTENT_TYPE": "text/x-test", "CONTENT_LENGTH": "4", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_PORT": port,
		"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "example.org", "HTTP_X_TEXT": "one", "HTTP_X_LOWER": "\u00e9",
		"HTTP_COOKIE": "a=1; b=2", "HTTP_X_TWICE": "1,2",
		"RAW_URI":      "/caf%C3%A9/a%2Fb%20c//./x/../y?q=%C3%A9&a=b+c",
		"REQUEST_URI":  "/caf%C3%A9/a%2Fb%20c//./x/../y?q=%C3%A9&a=b+c",
		"wsgi.version": []any{1.0, 0.0}, "wsgi.url_scheme": "http", "wsgi.multithread": true, "wsgi.multiprocess": false, "wsgi.run_once": false,
		"wsgi.input_terminated": true, "e2e.type": "dict", "e2e.not_str": []any{},
	}
	for k := range want {
		got[k] = env[k]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, k := range []string{"wsgi.input", "wsgi.errors", "wsgi.file_wrapper", "SERVER_NAME", "SERVER_SOFTWARE", "REMOTE_PORT"} {
		if v, ok := env[k].(string); !ok || v == "" {
			t.Errorf("%s = %v", k, env[k])
		}
	}
	for _, k := range []string{"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} {
		if v, ok := env[k]; ok {
			t.Errorf("%s = %v", k, v)
		}
	}
}

func TestEnvironIsNewForEachRequest(t *testing.T) {
	t.Parallel()
	c := shared(t, "environ").dial(t)
	for range 3 {
		var env map[string]any
		if err := json.Unmarshal([]byte(c.do("GET", "/", "").body()), &env); err != nil {
			t.Fatal(err)
		}
		if env["SCRIPT_NAME"] != "" || env["e2e.changed"] != nil {
			t.Errorf("changes of an earlier request are seen: %v, %v", env["SCRIPT_NAME"], env["e2e.changed"])
		}
		if _, ok := env["CONTENT_LENGTH"]; ok && env["CONTENT_LENGTH"] != "" {
			t.Errorf("CONTENT_LENGTH = %v without a body", env["CONTENT_LENGTH"])
		}
	}
}

func TestHeaderNamesWithAnUnderscoreAreDropped(t *testing.T) {
	t.Parallel()
	env := getJSON[map[string]any](t, shared(t, "environ"), "/", "X_User: mallory", "X-User: alice", "Content_Length: 7", "Only_Under: 1")
	if env["HTTP_X_USER"] != "alice" || env["HTTP_CONTENT_LENGTH"] != nil || env["HTTP_ONLY_UNDER"] != nil {
		t.Errorf("%v %v %v", env["HTTP_X_USER"], env["HTTP_CONTENT_LENGTH"], env["HTTP_ONLY_UNDER"])
	}
}

func TestWriteSendsBeforeWhatTheIterableYields(t *testing.T) {
	t.Parallel()
	s := shared(t, "write_callable")
	for path, want := range map[string]string{
		"/only_write": "one,two", "/write_then_iterate": "written,iterated,twice", "/write_while_iterating": "first,written,last",
		"/write_empty": "body", "/write_nothing": "", "/only_write?7": "one,two", "/write_then_iterate?22": "written,iterated,twice",
	} {
		if got := s.getOK(t, path); got != want {
			t.Errorf("%s: %q, expected %q", path, got, want)
		}
	}
}

func TestWriteOfWhatIsNotBytesIsAnError(t *testing.T) {
	t.Parallel()
	s := shared(t, "write_callable")
	if r, body := s.get(t, "/write_str"); r.status != 500 || strings.Contains(body, "not bytes") {
		t.Errorf("%d %q", r.status, body)
	}
}

func TestWriteReachesTheClientBeforeTheAppGoesOn(t *testing.T) {
	t.Parallel()
	path, open := gate(t)
	r := shared(t, "write_flushes").dial(t).do("GET", "/?"+path, "")
	if got := r.atLeast(len("before the gate")); got != "before the gate" {
		t.Fatalf("%q", got)
	}
	open()
	if got := r.body(); got != "after the gate" {
		t.Errorf("%q", got)
	}
}

func TestExcInfoReplacesTheHeadersBeforeTheyAreSent(t *testing.T) {
	t.Parallel()
	s := shared(t, "exc_info")
	for _, path := range []string{"/before_headers", "/first_call", "/in_first_step", "/before_an_empty_chunk"} {
		r, body := s.get(t, path)
		if r.status != 503 || r.reason != "Broken" || r.value("X-From") != "error" || r.value("X-Gone") != "" || body != "error page" || r.value("Content-Type") != "text/plain" {
			t.Errorf("%s: %d %s %q %q", path, r.status, r.reason, r.header, body)
		}
	}
	if body := s.getOK(t, "/none_first"); body != "fine" {
		t.Errorf("exc_info=None: %q", body)
	}
}

func TestExcInfoIsRaisedAgainAfterTheHeadersWereSent(t *testing.T) {
	t.Parallel()
	s := shared(t, "exc_info")
	for _, path := range []string{"/after_headers", "/after_first_chunk"} {
		r := s.dial(t).do("GET", path, "")
		got, err := r.pieces()
		if r.status != 200 || err == nil || strings.Join(got, "") != "sent" {
			t.Errorf("%s: %d %q %v, expected a cut response", path, r.status, got, err)
		}
	}
	s.waitLog(t, "re-raised LookupError made by the test app True")
}

func TestStartResponseMayBeCalledInTheFirstStepOfTheIterator(t *testing.T) {
	t.Parallel()
	s := shared(t, "start_response_calls")
	for path, want := range map[string]string{
		"/late": "called in the first step", "/late_write": "written,yielded", "/late_iter": "called in __iter__",
	} {
		if r, body := s.get(t, path); r.status != 201 || r.reason != "Late" || body != want {
			t.Errorf("%s: %d %s %q", path, r.status, r.reason, body)
		}
	}
}

func TestABodyWithoutStartResponseIsAnError(t *testing.T) {
	t.Parallel()
	s := shared(t, "start_response_calls")
	for _, path := range []string{"/never", "/never_empty", "/never_generator", "/after_first_chunk"} {
		c := s.dial(t)
		r := c.do("GET", path, "")
		if body := r.body(); r.status != 500 || strings.Contains(body, "body") || strings.Contains(body, "too early") {
			t.Errorf("%s: %d %q", path, r.status, body)
		}
	}
}

func TestStartResponseTwiceWithoutExcInfoIsAnError(t *testing.T) {
	t.Parallel()
	s := shared(t, "start_response_calls")
	if r, _ := s.get(t, "/twice"); r.status != 500 {
		t.Errorf("/twice: %d", r.status)
	}
	if r, body := s.get(t, "/twice_caught"); r.status != 200 || r.value("X-Call") != "first" || body != "first call holds" {
		t.Errorf("/twice_caught: %d %q %q", r.status, r.header, body)
	}
	if r, _ := s.get(t, "/no_arguments"); r.status != 500 {
		t.Errorf("/no_arguments: %d", r.status)
	}
	if r, body := s.get(t, "/headers_kept_apart"); r.status != 200 || body != "body" {
		t.Errorf("/headers_kept_apart: %d %q", r.status, body)
	}
}

func TestEveryKindOfIterableIsSent(t *testing.T) {
	t.Parallel()
	s := shared(t, "iterables")
	many := ""
	for i := range 1000 {
		many += fmt.Sprintf("%d,", i)
	}
	c := s.dial(t)
	for _, row := range []struct{ path, body, framing string }{
		{"list_of_one", "one", "length"},
		{"tuple_of_one", "one", "length"},
		{"list_of_many", "one,two,three", ""},
		{"tuple_of_many", "one,two,three", ""},
		{"len_one", "one", ""},
		{"generator", "one,two,three", ""},
		{"no_len", "one,two,three", ""},
		{"old_protocol", "old,protocol", ""},
		{"map", "ab", ""},
		{"many_chunks", many, ""},
		{"empty_list", "", "length"},
		{"empty_tuple", "", "length"},
		{"empty_generator", "", ""},
		{"one_empty_chunk", "", ""},
		{"only_empty_chunks", "", ""},
		{"empty_chunks_first", "one,two", ""},
		{"bytes_subclass", "one", ""},
		{"big_list", strings.Repeat("x", 3<<20), ""},
	} {
		r := c.do("GET", "/"+row.path, "")
		body := r.body()
		if r.status != 200 || body != row.body {
			t.Errorf("%s: %d, %d bytes %.60q", row.path, r.status, len(body), body)
		}
		if row.framing != "" && r.framing != row.framing {
			t.Errorf("%s: framed by %s, expected %s: %q", row.path, r.framing, row.framing, r.header)
		}
	}
}

func TestCloseIsCalledOnTheReturnedObjectOnEveryPath(t *testing.T) {
	t.Parallel()
	s := shared(t, "close")
	type want struct {
		status int
		body   string // what the client may see
		cut    bool
	}
	for path, w := range map[string]want{
		"normal": {200, "body", false}, "list_with_close": {200, "body", false}, "iterator_with_close": {200, "bodybody", false},
		"raises_at_first": {500, "", false}, "raises_later": {200, "body", true}, "iter_raises": {500, "", false}, "not_iterable": {500, "", false},
		"bad_chunk": {500, "", false}, "bad_chunk_later": {200, "body", true}, "never_started": {500, "", false}, "started_twice": {500, "", false},
		"no_content": {204, "", false}, "too_long": {200, "bo", false}, "too_short": {200, "body", true}, "bad_header": {500, "", false},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			tok := token()
			r := s.dial(t).do(method, "/"+path+"?"+tok, "")
			got, err := r.pieces()
			body := strings.Join(got, "")
			if method == "GET" {
				if r.status != w.status || w.status != 500 && body != w.body || (err != nil) != w.cut {
					t.Errorf("%s: %d %q %v, expected %+v", path, r.status, body, err, w)
				}
			} else if body != "" {
				t.Errorf("HEAD %s: a body %q", path, body)
			}
			s.waitLog(t, "object closed "+tok)
			if n := s.countLog("object closed " + tok); n != 1 {
				t.Errorf("%s %s: close() called %d times", method, path, n)
			}
			if n := s.countLog("iterator closed " + tok); n != 0 {
				t.Errorf("%s %s: close() of the iterator called too", method, path)
			}
		}
	}
}

func TestAnErrorInCloseIsLoggedAndTheResponseStands(t *testing.T) {
	t.Parallel()
	s := shared(t, "close")
	c := s.dial(t)
	tok := token()
	if r := c.do("GET", "/close_raises?"+tok, ""); r.status != 200 || r.body() != "body" {
		t.Errorf("close_raises: %d", r.status)
	}
	s.waitLog(t, "object closed "+tok)
	s.waitLog(t, "ValueError: in close()")
	if r, body := s.get(t, "/close_is_not_callable?"+tok); r.status != 200 || body != "body" {
		t.Errorf("close_is_not_callable: %d %q", r.status, body)
	}
	if r, _ := s.get(t, "/normal?"+tok); r.status != 200 {
		t.Errorf("afterwards: %d", r.status)
	}
}

func TestWhatTheAppKeepsRaisesInALaterRequest(t *testing.T) {
	t.Parallel()
	s := start(t, "keeps", options{args: []string{"--threads", "1"}})
	c := s.dial(t)
	if r := c.do("POST", "/keep", "body of the first"); r.status != 200 || r.body() != "kept" {
		t.Fatal(r.status)
	}
	r := c.do("POST", "/use", "body of the second")
	var got map[string]string
	if err := json.Unmarshal([]byte(r.body()), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"start_response": "RuntimeError", "write": "RuntimeError", "read": "RuntimeError", "readline": "RuntimeError",
		"readlines": "RuntimeError", "next": "RuntimeError", "own": "body of the second"}
	if d := cmp.Diff(want, got); d != "" || r.status != 200 || r.value("X-Stolen") != "" {
		t.Error(r.status, r.header, d)
	}
}

func TestWsgiErrorsGoesToTheLogLineByLine(t *testing.T) {
	t.Parallel()
	s := shared(t, "errors_stream")
	tok := token()
	s.getOK(t, "/?"+tok)
	for _, text := range []string{"by-write ", "by-writelines-1 ", "by-writelines-2 ", "by-print ", "by-halves ", "no newline ", "to-stderr ", "WARNING by-logging "} {
		line := s.waitLog(t, text+tok)
		if strings.Count(line, tok) != 1 {
			t.Errorf("two lines in one: %q", line)
		}
	}
	if line := s.waitLog(t, "not latin-1: "); !strings.Contains(line, "\u20ac") && !strings.Contains(line, `\u20ac`) {
		t.Errorf("%q", line)
	}
}

func TestAMiddlewareWrapsAnAppUntouched(t *testing.T) {
	t.Parallel()
	s := shared(t, "middleware")
	tok := token()
	r, body := s.get(t, "/?"+tok)
	if body != "WRITTEN,ONE,TWO" || r.value("X-Wrapped") != "yes" {
		t.Errorf("%q %q", body, r.header)
	}
	s.waitLog(t, "inner generator closed "+tok)
}

// respondTo is the target on which the respond app answers as spec says.
func respondTo(spec map[string]any) string {
	b, err := json.Marshal(spec)
	if err != nil {
		panic(err)
	}
	return "/?" + url.PathEscape(string(b))
}
