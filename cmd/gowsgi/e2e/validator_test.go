package e2e

import (
	"strings"
	"testing"
)

func TestWsgirefValidateIsSilentAroundTheWellBehavedApps(t *testing.T) {
	t.Parallel()
	s := start(t, "validated", options{})
	c := s.dial(t)
	for _, target := range []string{
		"/hello", "/hello/a/b?c=d", "/environ/caf%C3%A9?x=1", "/write_callable/only_write", "/write_callable/write_then_iterate",
		"/iterables/list_of_one", "/iterables/list_of_many", "/iterables/tuple_of_many", "/iterables/generator", "/iterables/no_len", "/iterables/old_protocol",
		"/iterables/map", "/iterables/many_chunks", "/iterables/empty_list", "/iterables/empty_generator", "/iterables/one_empty_chunk", "/iterables/empty_chunks_first",
		"/lengths/exact_list", "/lengths/exact_generator", "/lengths/zero", "/middleware/x", "/exc_info/before_headers", "/exc_info/first_call",
		"/respond" + respondTo(map[string]any{"headers": []any{[]any{"Content-Type", "text/plain"}, []any{"X-Own", "a"}}})[1:],
		"/respond" + respondTo(map[string]any{"status": "304 Not Modified", "body": []any{}})[1:],
	} {
		for _, method := range []string{"GET", "HEAD"} {
			r := c.do(method, target, "")
			body := r.body()
			want := 200
			if strings.HasPrefix(target, "/exc_info/") {
				want = 503
			} else if strings.Contains(target, "304") {
				want = 304
			}
			if r.status != want {
				t.Errorf("%s %s: %d %q", method, target, r.status, body)
			}
		}
	}
	for _, f := range framings {
		f.send(c, "/input_sized/", "abc\ndefghij\nk\nlast")
		if r := c.head("POST"); r.status != 200 {
			t.Errorf("%s: %d", f.name, r.status)
		} else if got := r.body(); got != "abc|\n|defg|hij\n|k\n|last" {
			t.Errorf("%s: %q", f.name, got)
		}
		f.send(c, "/upload/", strings.Repeat("u", 1000))
		if r := c.head("POST"); r.status != 200 || r.body() != uploadReply(strings.Repeat("u", 1000)) {
			t.Errorf("%s: upload %d", f.name, r.status)
		}
	}
	s.stop() // then its log is whole
	for _, text := range []string{"AssertionError", "WSGIWarning", "Traceback", "was never closed", "Warning"} {
		if n := s.countLog(text); n != 0 {
			t.Errorf("%q is in the log %d times", text, n)
		}
	}
}
