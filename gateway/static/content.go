package static

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRanges is how many ranges of a file a request may ask for; with more it gets the whole, as RFC 9110 14.2 allows. Each part of a response
// has a header of about 100 bytes, whatever its own size.
const maxRanges = 32

// serveFile sends a file, or what a conditional or range request asks for of it. w.Header() is complete but for the fields that depend on that.
func serveFile(w http.ResponseWriter, r *http.Request, f regularFile, modified time.Time) {
	http.ServeContent(&response{w, f.info.Size()}, plainRequest(r), "", modified, f.File)
}

// plainRequest is r without what does not count for its method (RFC 9110 13.1, 14.2), and without ranges that are not answered.
func plainRequest(r *http.Request) *http.Request {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return &http.Request{Method: http.MethodGet}
	case r.Header["Range"] == nil || r.Method == http.MethodGet && rangesCount(r.Header["Range"]):
		return r
	}
	header := r.Header.Clone()
	header.Del("Range")
	return &http.Request{Method: r.Method, Header: header}
}

func rangesCount(fields []string) bool {
	return len(fields) == 1 && strings.HasPrefix(fields[0], "bytes=") && strings.Count(fields[0], ",") < maxRanges
}

// response mends what http.ServeContent leaves out.
type response struct {
	http.ResponseWriter
	size int64
}

func (w *response) WriteHeader(code int) {
	h := w.Header()
	switch {
	case code == http.StatusOK:
		h.Set("Content-Length", strconv.FormatInt(w.size, 10)) // also where there is a Content-Encoding
	case code >= 400:
		for _, field := range []string{"Content-Encoding", "Content-Disposition"} {
			h.Del(field)
		}
		h.Set("Cache-Control", "no-store")
	}
	w.ResponseWriter.WriteHeader(code)
}

// ReadFrom lets the server use sendfile.
func (w *response) ReadFrom(src io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, src) }

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
