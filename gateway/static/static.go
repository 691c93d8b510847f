// Package static serves files without Python: folders under a URL prefix ([New]), and files that an app names in its response ([Sender]).
//
// It fits every net/http server. With gateway.Server the files go out by sendfile.
package static

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"syscall"
)

// Options are the settings of [New].
type Options struct {
	// Prefix is the URL prefix of the folder, such as "/static"; "" for a folder that has all paths. It is compared with the percent-decoded
	// path, and is not taken off beforehand (http.StripPrefix): with it taken off, Prefix is "".
	Prefix string
	// Dir is the folder, absolute or from the current folder of New's call on. It is looked up by its path each time.
	Dir string
	// FollowSymlinks serves what symbolic links lead to outside Dir. Else only those are followed that are relative and stay inside.
	FollowSymlinks bool
	// Changing has clients ask for every file anew each time ("no-cache"), for those that somebody is at work on.
	Changing bool
}

// New serves the regular files below a folder. The error is that the folder is not there.
//
// It answers GET and HEAD, 405 else. A path is decoded once and names a file exactly: an encoded slash, a backslash, NUL, an empty segment, "..",
// or a segment that begins with a dot (.git, .env) is 404, as is what is not there, no regular file, or outside Dir by a symbolic link.
// A path that ends with a slash is that folder's index.html, and a folder that has one is redirected there; there are no listings.
//
// ETag (strong), Last-Modified, conditional requests and ranges are http.ServeContent's; more than 32 ranges, or more bytes than the file has,
// get the whole file. app.js.br, app.js.zst and app.js.gz beside app.js are sent in its place to those who accept them, unless they are older. The
// content type comes from the name, never from the content. Cache-Control is "no-cache" for HTML, a year and immutable for names with a hash
// in them (app.0123456789ab.js, app-BxT3x9aZ.js), a minute for the rest. A file that shrinks while it is sent ends the response short.
func New(o Options) (http.Handler, error) {
	f, err := openFolder(o.Dir, o.FollowSymlinks)
	if err != nil {
		return nil, err
	}
	return &handler{prefix: cleanPrefix(o.Prefix), folder: f, changing: o.Changing}, nil
}

type handler struct {
	prefix string // "" or with a slash before it and none after it
	folder folder

	changing bool
}

func cleanPrefix(prefix string) string {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return ""
	}
	return "/" + prefix
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed)
		return
	}
	name, ok := nameOf(sentPath(r.URL), h.prefix)
	if !ok {
		fail(w, http.StatusNotFound)
		return
	}
	if err := h.serve(w, r, name); err != nil {
		fail(w, statusOf(err))
	}
}

// serve answers with a file, or with a redirect to a folder's index. An error means that nothing was written.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, name string) error {
	if err := hold(); err != nil {
		return err
	}
	defer release()
	dir, err := h.folder.open()
	if err != nil {
		return err
	}
	defer dir.close()
	if name == "" || strings.HasSuffix(name, "/") {
		name += "index.html"
	}
	file, err := dir.file(name)
	if errors.Is(err, errFolder) && path.Base(name) != "index.html" {
		return redirect(w, r, dir, name)
	}
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", typeOf(name))
	header.Set("X-Content-Type-Options", "nosniff")
	if header.Set("Cache-Control", cachingOf(name)); h.changing {
		header.Set("Cache-Control", "no-cache")
	}
	file, coding, vary := dir.variant(file, name, r.Header["Accept-Encoding"])
	defer file.Close()
	dir.close() // the client may take its time
	if vary {
		header.Add("Vary", "Accept-Encoding")
	}
	if coding != "" {
		header.Set("Content-Encoding", coding)
	}
	header.Set("Etag", file.etag(coding))
	serveFile(w, r, file, file.info.ModTime())
	return nil
}

// redirect sends the client to the index of a folder, by a relative reference: no path can make it another host's.
func redirect(w http.ResponseWriter, r *http.Request, dir openedFolder, name string) error {
	index, err := dir.file(path.Join(name, "index.html"))
	if err != nil {
		return err
	}
	_ = index.Close()
	to := "./" + url.PathEscape(path.Base(r.URL.Path)) + "/"
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", to)
	w.Header().Set("Cache-Control", cachingOf("index.html"))
	w.WriteHeader(http.StatusMovedPermanently)
	return nil
}

// sentPath is the path of a URL as it was sent. EscapedPath would show an encoded slash as a plain one where another character should have been
// encoded, and was not.
func sentPath(u *url.URL) string {
	if path, err := url.PathUnescape(u.RawPath); err == nil && path == u.Path {
		return u.RawPath
	}
	return u.EscapedPath()
}

// nameOf is what a path names below the folder: relative, clean, but for a slash at its end where the path has one. escaped is the path of a
// URL as it was sent. False: it can't name a file.
func nameOf(escaped, prefix string) (string, bool) {
	decoded, err := url.PathUnescape(escaped)
	if err != nil || strings.ContainsAny(decoded, "\x00\\") || strings.Count(decoded, "/") != strings.Count(escaped, "/") {
		return "", false
	}
	if decoded == prefix && prefix != "" {
		return ".", true
	}
	name, ok := strings.CutPrefix(decoded, prefix+"/")
	if !ok {
		return "", false
	}
	segments := strings.Split(name, "/")
	for i, segment := range segments {
		if strings.HasPrefix(segment, ".") || segment == "" && i < len(segments)-1 {
			return "", false
		}
	}
	return name, true
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return http.StatusNotFound
	case errors.Is(err, fs.ErrPermission):
		return http.StatusForbidden
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func fail(w http.ResponseWriter, code int) {
	w.Header().Set("Cache-Control", "no-store")
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, http.StatusText(code), code)
}
