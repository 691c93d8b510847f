package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// framings sends one body in every way that a client can.
var framings = []struct {
	name string
	send func(c *client, target, body string)
}{
	{"content-length", func(c *client, target, body string) {
		c.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body))
	}},
	{"content-length in pieces", func(c *client, target, body string) {
		c.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", target, len(body)))
		for i := 0; i < len(body); i += max(1, len(body)/7) {
			c.send(body[i:min(len(body), i+max(1, len(body)/7))])
		}
	}},
	{"chunked", func(c *client, target, body string) {
		c.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s", target, chunked(body, 5)))
	}},
	{"chunked in one, with an extension and a trailer", func(c *client, target, body string) {
		c.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n%X;name=value\r\n%s\r\n0\r\nX-Trailer: 1\r\n\r\n", target, len(body), body))
	}},
}

func chunked(body string, n int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(n, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

func TestInputReadsTheBodyInEveryWayOfAFile(t *testing.T) {
	t.Parallel()
	const body = "first line\nsecond\n\nlast without end"
	lines := []string{"first line\n", "second\n", "\n", "last without end"}
	s := shared(t, "input")
	for _, f := range framings {
		c := s.dial(t)
		for _, row := range []struct {
			target string
			want   []string
		}{
			{"/read", []string{body, "", ""}},
			{"/read_none", []string{body, ""}},
			{"/read_minus_one", []string{body, ""}},
			{"/read_zero", []string{"", body}},
			{"/readline", append(lines[:4:4], "")},
			{"/readline_none", append(lines[:4:4], "")},
			{"/readline_minus_one", append(lines[:4:4], "")},
			{"/readline_n?6", []string{"first ", "line\n", "second", "\n", "\n", "last w", "ithout", " end", ""}},
			{"/readline_n?100", append(lines[:4:4], "")},
			{"/readlines", append(lines[:4:4], "--")},
			{"/iterate", append(lines[:4:4], "--")},
			{"/mixed", []string{"fi", "rst line\n", "second\n", "\n", "last without end"}},
			{"/part?4", []string{"firs"}},
			{"/part?1000", []string{body}},
			{"/ignored", []string{}},
		} {
			f.send(c, row.target, body)
			r := c.head("POST")
			var got []string
			if err := json.Unmarshal([]byte(r.body()), &got); err != nil {
				t.Fatalf("%s %s: %d %v", f.name, row.target, r.status, err)
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("%s %s: %s", f.name, row.target, d)
			}
		}
		for _, n := range []int{1, 3, len(body), 1000} {
			f.send(c, fmt.Sprintf("/read_n?%d", n), body)
			var got []string
			if err := json.Unmarshal([]byte(c.head("POST").body()), &got); err != nil {
				t.Fatal(err)
			}
			if strings.Join(got, "") != body || len(got[0]) > n || got[len(got)-1] != "" {
				t.Errorf("%s read(%d): %q", f.name, n, got)
			}
		}
		f.send(c, "/readlines_hint?12", body)
		var got []string
		if err := json.Unmarshal([]byte(c.head("POST").body()), &got); err != nil {
			t.Fatal(err)
		}
		// The hint ends the first call once it is reached; a server may also ignore it (wsgiref's notes on readlines).
		if d := cmp.Diff([]string{"first line\n", "second\n", "--", "\n", "last without end"}, got); d != "" {
			t.Errorf("%s readlines(12): %s", f.name, d)
		}
	}
}

func TestInputOfARequestWithoutABodyIsEmpty(t *testing.T) {
	t.Parallel()
	c := shared(t, "input").dial(t)
	for target, want := range map[string]string{
		"/read": `["", "", ""]`, "/readline": `[""]`, "/readlines": `["--"]`, "/iterate": `["--"]`, "/read_n?3": `[""]`, "/part?10": `[""]`,
	} {
		for _, headers := range [][]string{nil, {"Content-Length: 0"}} {
			if got := c.do("POST", target, "", headers...).body(); got != want {
				t.Errorf("%s %q: %s", target, headers, got)
			}
		}
	}
}

func TestALongBodyComesWholeInEveryFraming(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("0123456789abcdef", 40000) + "end"
	s := shared(t, "upload")
	want := uploadReply(body)
	for _, f := range framings {
		if strings.Contains(f.name, "chunked in one") || f.name == "chunked" {
			continue // 5-byte chunks: below, with a better size
		}
		c := s.dial(t)
		f.send(c, "/", body)
		if got := c.head("POST").body(); got != want {
			t.Errorf("%s: %s", f.name, got)
		}
	}
	for _, n := range []int{100, 4096, 65536, 1 << 20} {
		c := s.dial(t)
		c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, n))
		if got := c.head("POST").body(); got != want {
			t.Errorf("chunks of %d: %s", n, got)
		}
		c.usable("/")
	}
}

func TestInputIsStreamedToAnAppThatAsksForIt(t *testing.T) {
	t.Parallel()
	s := shared(t, "progress", "--stream-input")
	c := s.dial(t)
	c.send("POST /?5 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	r := c.head("POST")
	for i, want := range []string{"5\n", "10\n"} {
		if got := r.atLeast(len(want)); got != want {
			t.Fatalf("after piece %d: %q", i, got)
		}
		if i == 0 {
			c.send("5\r\nworld\r\n")
		}
	}
	c.send("0\r\n\r\n")
	if got := r.body(); got != "end\n" {
		t.Errorf("%q", got)
	}
	c.send("POST /?4 HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nfour")
	r = c.head("POST")
	if got := r.atLeast(2); got != "4\n" {
		t.Fatalf("%q", got)
	}
	c.send("more")
	if got := r.body(); got != "8\nend\n" {
		t.Errorf("%q", got)
	}
}
