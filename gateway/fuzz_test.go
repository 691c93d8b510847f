package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/gowsgi/gowsgi/pyhost"
	"github.com/gowsgi/gowsgi/testdata/requests"
)

// FuzzParse: whatever the pieces a request comes in, the result is the same; what is accepted holds no line end, and where net/http accepts it
// too, it is the same request.
func FuzzParse(f *testing.F) {
	for _, c := range requests.All(f) {
		if len(c.Raw) < 2000 {
			f.Add(c.Raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 2000 {
			return
		}
		checkSplits(t, raw)
		var scan headScanner
		end, _ := scan.scan(raw)
		if end == 0 {
			return
		}
		var q request
		if q.parse(raw[:end]) != 0 {
			return
		}
		for _, fl := range append(q.fields, field{q.method, q.raw}, field{q.host, q.target.path}) {
			if bytes.ContainsAny(fl.name, "\r\n\x00 ") || bytes.ContainsAny(fl.value, "\r\n\x00") {
				t.Fatalf("%q: %q", fl.name, fl.value)
			}
		}
		if q.chunked && q.contentLength >= 0 {
			t.Fatal("both a coding and a length")
		}
		compareWithNetHTTP(t, raw[:end], &q)
	})
}

func compareWithNetHTTP(t *testing.T, head []byte, q *request) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimPrefix(head, []byte("\r\n")))))
	if err != nil {
		return
	}
	length := max(q.contentLength, 0)
	if q.chunked {
		length = -1
	}
	if r.Method != string(q.method) || r.RequestURI != string(q.raw) || r.ContentLength != length || (len(r.TransferEncoding) > 0) != q.chunked {
		t.Fatalf("%q: %s %s, length %d; net/http: %s %s, length %d, %v", head, q.method, q.raw, length, r.Method, r.RequestURI, r.ContentLength, r.TransferEncoding)
	}
	want := http.Header{}
	for _, f := range q.fields {
		switch name := textproto.CanonicalMIMEHeaderKey(string(f.name)); name {
		case "Host", "Transfer-Encoding", "Trailer", "Pragma", "Cache-Control":
		default:
			want.Add(name, string(f.value))
		}
	}
	for _, name := range []string{"Trailer", "Pragma", "Cache-Control"} {
		r.Header.Del(name) // net/http takes the one out and adds the others
	}
	if !reflect.DeepEqual(r.Header, want) {
		t.Fatalf("%q: %q, net/http %q", head, want, r.Header)
	}
}

// FuzzBody: whatever the pieces a chunked body comes in, the result is the same; where net/http accepts it too, it is the same body.
func FuzzBody(f *testing.F) {
	for _, c := range requests.All(f) {
		if _, body, ok := bytes.Cut(c.Raw, []byte("\r\n\r\n")); ok && len(body) > 0 && len(body) < 2000 {
			f.Add(body, uint16(len(body)/2), uint16(1))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, at, size uint16) {
		decode := func(size int) (string, int, string) {
			d := newBodyDecoder(&request{chunked: true})
			var body []byte
			for i := 0; i < len(raw) && !d.done; {
				p, n, err := d.decode(raw[i:min(i+size, len(raw))])
				if err != nil {
					return "", 0, "refused"
				}
				body = append(body, p...)
				i += n
				if d.done {
					return string(body), i, "whole"
				}
			}
			return string(body), len(raw), "incomplete"
		}
		body, end, result := decode(len(raw) + 1)
		for _, n := range []int{1, 1 + int(at), 1 + int(size)} {
			if b, e, r := decode(n); b != body || e != end || r != result {
				t.Fatalf("%q in pieces of %d: %q, %d, %s; at once: %q, %d, %s", raw, n, b, e, r, body, end, result)
			}
		}
		if result != "whole" {
			return
		}
		// net/http counts the bytes of extensions in another way.
		if want, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(raw))); err == nil && string(want) != body {
			t.Fatalf("%q: %q, net/http %q", raw, body, want)
		}
	})
}

// FuzzAuthority: an authority that is accepted is the host of a URL, and no more.
func FuzzAuthority(f *testing.F) {
	for _, s := range []string{"example.org:80", "[::1]:443", "[v1.a:b]", "a%41:", "u@h", "h:x", "h/p", "[::1%25e]", "", ":", "a_b", "1.2.3.4", "h:123456"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !validAuthority([]byte(s)) {
			return
		}
		if strings.ContainsAny(s, "/?#@\\ \t\r\n\x00\"<>") {
			t.Fatalf("accepted %q", s)
		}
		u, err := url.Parse("http://" + s + "/path")
		if err != nil {
			return
		}
		if host, err := url.PathUnescape(s); err == nil && u.Host != host && u.Host != s || u.Path != "/path" || u.User != nil {
			t.Fatalf("%q is %+v", s, u)
		}
	})
}

// FuzzTarget compares the target splitter with net/url where both accept.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/", "/a%2Fb?c=d", "*", "http://h/p?q", "http://[::1]:80", "https://h?q", "h:80", "//h/p", "/%", "/a#b", "http://u@h/"} {
		f.Add("GET", s)
		f.Add("OPTIONS", s)
		f.Add("CONNECT", s)
	}
	f.Fuzz(func(t *testing.T, method, raw string) {
		got, err := splitTarget([]byte(method), []byte(raw))
		if err != nil {
			return
		}
		for i := range len(raw) {
			if raw[i] <= ' ' || raw[i] >= 0x7f || raw[i] == '#' {
				t.Fatalf("accepted %q", raw)
			}
		}
		if got.form == originForm && string(got.path)+strings.Repeat("?", min(1, strings.Count(raw, "?")))+string(got.query) != raw {
			t.Fatalf("%q is not %q and %q", raw, got.path, got.query)
		}
		if got.form != originForm && got.form != absoluteForm {
			return
		}
		path := string(unescape(nil, got.path))
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			return
		}
		if u.Path != path && !(u.Path == "" && path == "/") || u.RawQuery != string(got.query) {
			t.Fatalf("%q: path %q query %q, net/url %q %q", raw, path, got.query, u.Path, u.RawQuery)
		}
		if got.form == absoluteForm && !strings.EqualFold(u.Host, string(got.authority)) && !bytes.Contains(got.authority, []byte("%")) {
			t.Fatalf("%q: authority %q, net/url %q", raw, got.authority, u.Host)
		}
	})
}

// FuzzRecord: what is put into a record comes out of it; whatever bytes are read as one, nothing is read past their end.
func FuzzRecord(f *testing.F) {
	f.Add("REQUEST_METHOD", "GET", "", "\x00", []byte("\x01\x00\x00\x00\x00\x00\x00\x00a"))
	f.Add("", "", "caf\xe9", "\r\n", []byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string, raw []byte) {
		rec := pyhost.AppendPair(pyhost.AppendPair(nil, k1, v1), k2, v2)
		a, b, rest, ok := pyhost.NextPair(rec)
		c, d, end, ok2 := pyhost.NextPair(rest)
		if !ok || !ok2 || string(a) != k1 || string(b) != v1 || string(c) != k2 || string(d) != v2 || len(end) != 0 {
			t.Fatalf("%q %q %q %q", a, b, c, d)
		}
		total := 0
		for rec := raw; ; {
			k, v, rest, ok := pyhost.NextPair(rec)
			if !ok {
				if total+len(rest) != len(raw) {
					t.Fatalf("read %d of %d, %d left", total, len(raw), len(rest))
				}
				break
			}
			total += 8 + len(k) + len(v)
			rec = rest
		}
	})
}

// FuzzResponseHeader: a header section that passes the checks has exactly the lines it should, whatever the app gave.
func FuzzResponseHeader(f *testing.F) {
	f.Add("200 OK", "Content-Type", "text/plain", "X-A", "b", true)
	f.Add("304 Not Modified", "Content-Length", "5", "Date", "x", false)
	f.Add("200 OK\r\nX: y", "Set-Cookie", "a\r\nb", "Transfer-Encoding", "chunked", false)
	f.Fuzz(func(t *testing.T, status, k1, v1, k2, v2 string, complete bool) {
		var h responseHead
		rec := record(k1, v1, k2, v2)
		if h.check([]byte(status), rec) != nil {
			return
		}
		fr, n := h.frame(false, false, complete, 7)
		b := h.append(nil, []byte(status), rec, fr, n, false, true)
		if !bytes.HasSuffix(b, []byte("\r\n\r\n")) || bytes.Count(b, []byte("\r\n\r\n")) != 1 {
			t.Fatalf("%q", b)
		}
		lines := strings.Split(strings.TrimSuffix(string(b), "\r\n\r\n"), "\r\n")
		framings := 0
		for _, line := range lines[1:] {
			name, _, ok := strings.Cut(line, ":")
			if !ok || name == "" || strings.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("%q", line)
			}
			if strings.EqualFold(name, "content-length") || strings.EqualFold(name, "transfer-encoding") {
				framings++
			}
		}
		if framings > 1 || len(lines) > 6 {
			t.Fatalf("%q", b)
		}
	})
}
