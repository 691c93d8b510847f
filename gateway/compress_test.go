package gateway

import (
	"strings"
	"testing"

	"github.com/gowsgi/gowsgi/pyhost"
)

func TestRFC9110AcceptEncodingNamesTheCodingThatTheClientWants(t *testing.T) {
	for _, tc := range []struct {
		accept []string
		want   coding
	}{
		{nil, identity},
		{[]string{""}, identity},
		{[]string{"gzip"}, gzipCoding},
		{[]string{"GZip"}, gzipCoding},
		{[]string{"x-gzip"}, gzipCoding},
		{[]string{"br"}, brotliCoding},
		{[]string{"zstd"}, zstdCoding},
		{[]string{"deflate"}, identity},
		{[]string{"compress, deflate"}, identity},
		{[]string{"gzip, deflate, br, zstd"}, zstdCoding},
		{[]string{"gzip, deflate, br"}, brotliCoding},
		{[]string{"gzip", "br"}, brotliCoding},
		{[]string{"gzip;q=1.0, br;q=0.9, zstd;q=0.8"}, gzipCoding},
		{[]string{"gzip;q=0.5,br;q=0.501"}, brotliCoding},
		{[]string{"gzip;q=0"}, identity},
		{[]string{"gzip;q=0.000, br;q=0.0"}, identity},
		{[]string{"*"}, zstdCoding},
		{[]string{"*;q=0"}, identity},
		{[]string{"*, zstd;q=0"}, brotliCoding},
		{[]string{"gzip, *;q=0"}, gzipCoding},
		{[]string{"gzip;q=0.5, *"}, zstdCoding},
		{[]string{"identity"}, identity},
		{[]string{"identity;q=0"}, identity}, // nothing that the server has: RFC 9110 lets it send what it has
		{[]string{"identity;q=0, gzip"}, gzipCoding},
		{[]string{"identity, gzip;q=0.5"}, identity},
		{[]string{"identity;q=0.5, gzip;q=0.4"}, identity},
		{[]string{"identity;q=0.5, gzip;q=0.5"}, gzipCoding},
		{[]string{"identity;q=0.5, *;q=0.1"}, identity},
		{[]string{" gzip ; q=0.3 ,\tbr\t;\tQ=0.4"}, brotliCoding},
		{[]string{",, ,gzip,"}, gzipCoding},
		{[]string{"gzip;q=2"}, identity},
		{[]string{"gzip;q=1.001"}, identity},
		{[]string{"gzip;q=0.1234"}, identity},
		{[]string{"gzip;q=-1"}, identity},
		{[]string{"gzip;q="}, identity},
		{[]string{"gzip;q=x"}, identity},
		{[]string{"gzip;q=1x"}, identity},
		{[]string{"gzip;level=9"}, identity},
		{[]string{"gzip;"}, identity},
		{[]string{"gzip;q=1."}, gzipCoding},
		{[]string{"gzipped, brotli, zs"}, identity},
		{[]string{"gzip br"}, identity},
		{[]string{strings.Repeat("x,", 8000) + "gzip"}, gzipCoding},
	} {
		fields := []field{{[]byte("Host"), []byte("h")}, {[]byte("Accept-Language"), []byte("gzip")}}
		for _, v := range tc.accept {
			fields = append(fields, field{[]byte("accept-ENCODING"), []byte(v)})
		}
		if got := acceptedCoding(fields); got != tc.want {
			t.Errorf("%.60q: %s, want %s", tc.accept, got.String(), tc.want.String())
		}
	}
}

func TestOnlyWhatShrinksIsCompressed(t *testing.T) {
	for contentType, want := range map[string]bool{
		"text/html": true, "text/html; charset=utf-8": true, "TEXT/Plain": true, "text/csv;header=present": true, " text/css ": true,
		"application/json": true, "application/problem+json": true, "application/javascript;x=y": true, "application/xhtml+xml": true,
		"image/svg+xml": true, "application/wasm": true, "application/x-ndjson": true, "font/ttf": true,
		"text/event-stream": false, "Text/Event-Stream; charset=utf-8": false, "text/": false, "text": false, "": false, ";": false,
		"image/png": false, "image/jpeg": false, "image/webp": false, "video/mp4": false, "audio/ogg": false, "font/woff2": false,
		"application/octet-stream": false, "application/zip": false, "application/gzip": false, "application/pdf": false,
		"multipart/form-data": false, "application/json,text/html": false, strings.Repeat("x", 200) + "+json": false,
	} {
		if got := compressible([]byte(contentType)); got != want {
			t.Errorf("%.60q: %v", contentType, got)
		}
	}
}

func TestAResponseThatMayBeCompressedVariesAndHasAWeakETag(t *testing.T) {
	html := []string{"Content-Type", "text/html"}
	for _, tc := range []struct {
		name    string
		code    int
		headers []string
		size    int64
		wanted  coding
		want    []string // of the fields; nil: as they were
		coding  coding
	}{
		{"compressed", 200, html, 2000, gzipCoding, []string{"Content-Type", "text/html", "Vary", "Accept-Encoding", "Content-Encoding", "gzip"}, gzipCoding},
		{"of unknown length", 200, html, -1, brotliCoding, []string{"Content-Type", "text/html", "Vary", "Accept-Encoding", "Content-Encoding", "br"}, brotliCoding},
		{"an error page", 404, html, 2000, zstdCoding, []string{"Content-Type", "text/html", "Vary", "Accept-Encoding", "Content-Encoding", "zstd"}, zstdCoding},
		{"not wanted", 200, html, 2000, identity, []string{"Content-Type", "text/html", "Vary", "Accept-Encoding"}, identity},
		{"at the limit", 200, html, 860, gzipCoding, []string{"Content-Type", "text/html", "Vary", "Accept-Encoding", "Content-Encoding", "gzip"}, gzipCoding},
		{"short", 200, html, 859, gzipCoding, nil, identity},
		{"without a type", 200, nil, 2000, gzipCoding, nil, identity},
		{"an image", 200, []string{"content-type", "image/png"}, 2000, gzipCoding, nil, identity},
		{"206", 206, html, 2000, gzipCoding, nil, identity},
		{"204", 204, html, -1, gzipCoding, nil, identity},
		{"205", 205, html, -1, gzipCoding, nil, identity},
		{"compressed by the app", 200, append([]string{"content-encoding", "gzip"}, html...), 2000, brotliCoding, nil, identity},
		{"no-transform", 200, append([]string{"Cache-Control", "private , No-Transform"}, html...), 2000, gzipCoding, nil, identity},
		{"a range", 200, append([]string{"Content-Range", "bytes 0-1/2"}, html...), 2000, gzipCoding, nil, identity},
		{"a digest", 200, append([]string{"Repr-Digest", "x"}, html...), 2000, gzipCoding, nil, identity},
		{"a digest of old", 200, append([]string{"Digest", "x"}, html...), 2000, gzipCoding, nil, identity},
		{"Content-MD5", 200, append([]string{"Content-MD5", "x"}, html...), 2000, gzipCoding, nil, identity},
		{"Content-Digest", 200, append([]string{"Content-Digest", "x"}, html...), 2000, gzipCoding, nil, identity},
		{
			"length, ranges, ETag", 200, []string{"ETag", `"a"`, "Content-Length", "2000", "Content-Type", "text/css", "Accept-Ranges", "bytes", "X-A", "b"}, 2000, gzipCoding,
			[]string{"ETag", `W/"a"`, "Content-Type", "text/css", "X-A", "b", "Vary", "Accept-Encoding", "Content-Encoding", "gzip"}, gzipCoding,
		},
		{
			"a weak ETag stays", 200, []string{"etag", `W/"a"`, "Content-Type", "text/css"}, 2000, gzipCoding,
			[]string{"etag", `W/"a"`, "Content-Type", "text/css", "Vary", "Accept-Encoding", "Content-Encoding", "gzip"}, gzipCoding,
		},
		{
			"ETag and length of what is sent as it is stay", 200, []string{"ETag", `"a"`, "Content-Length", "2000", "Accept-Ranges", "bytes", "Content-Type", "text/css"}, 2000, identity,
			[]string{"ETag", `"a"`, "Content-Length", "2000", "Accept-Ranges", "bytes", "Content-Type", "text/css", "Vary", "Accept-Encoding"}, identity,
		},
		{
			"Vary is merged", 200, []string{"Vary", "Cookie", "Content-Type", "text/css", "vary", "Origin"}, 2000, identity,
			[]string{"Vary", "Cookie, Accept-Encoding", "Content-Type", "text/css", "vary", "Origin"}, identity,
		},
		{
			"an empty Vary too", 200, []string{"Vary", " ", "Content-Type", "text/css"}, 2000, identity,
			[]string{"Vary", "Accept-Encoding", "Content-Type", "text/css"}, identity,
		},
		{
			"Vary with it stays", 200, []string{"Vary", "Cookie", "Content-Type", "text/css", "vary", "Origin,accept-encoding"}, 2000, identity,
			[]string{"Vary", "Cookie", "Content-Type", "text/css", "vary", "Origin,accept-encoding"}, identity,
		},
		{"Vary: * stays", 200, []string{"Vary", "*", "Content-Type", "text/css"}, 2000, identity, []string{"Vary", "*", "Content-Type", "text/css"}, identity},
		{"304", 304, []string{"ETag", `"a"`, "Vary", "Cookie"}, 0, gzipCoding, []string{"ETag", `W/"a"`, "Vary", "Cookie, Accept-Encoding"}, identity},
		{"304 of an image", 304, []string{"ETag", `"a"`, "Content-Type", "image/png"}, 0, gzipCoding, nil, identity},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := responseHead{code: tc.code}
			rec, c := h.negotiate(record(tc.headers...), tc.wanted, tc.size)
			var got []string
			for {
				name, value, rest, ok := pyhost.NextPair(rec)
				if !ok {
					break
				}
				got = append(got, string(name), string(value))
				rec = rest
			}
			want := tc.want
			if want == nil {
				want = tc.headers
			}
			if c != tc.coding || strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("%s %q, want %s %q", c.String(), got, tc.coding.String(), want)
			}
		})
	}
}

// FuzzAcceptEncoding: a client gets no coding that it did not name, by "*" at least.
func FuzzAcceptEncoding(f *testing.F) {
	for _, seed := range []string{"gzip", "br;q=0.5, *", "identity;q=0, zstd;q=1.000", "x-gzip ; q=0.001", ",;,*;q=", "gzip;q=1.1"} {
		f.Add(seed, "")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		c := acceptedCoding([]field{{name: []byte("Accept-Encoding"), value: []byte(first)}, {name: []byte("accept-encoding"), value: []byte(second)}})
		if c >= codings {
			t.Fatalf("%q, %q: coding %d", first, second, c)
		}
		if all := strings.ToLower(first + "," + second); c != identity && !strings.Contains(all, c.String()) && !strings.Contains(all, "*") {
			t.Fatalf("%q, %q: %s", first, second, c.String())
		}
	})
}
