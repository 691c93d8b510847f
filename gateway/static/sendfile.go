package static

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"sort"
	"strings"
)

// ErrOutside is the error of a Sender where the app names a file that is in none of its folders.
var ErrOutside = errors.New("the file is in no folder that the app may have sent")

// SenderOptions are the settings of a [Sender].
type SenderOptions struct {
	// Roots are the folders whose files an app may name in X-Sendfile.
	Roots []string
	// Redirects are the URL prefixes that an app may name in X-Accel-Redirect.
	Redirects []Redirect
	// FollowSymlinks serves what symbolic links lead to outside the folders.
	FollowSymlinks bool
}

// Redirect is a URL prefix that no client can ask for, and the folder that it means to an app.
type Redirect struct{ Prefix, Dir string }

// Sender sends files that an app names in its response, as Apache's mod_xsendfile and nginx's internal locations do. Its methods may be called
// by any goroutine.
type Sender struct {
	roots     []sendRoot
	redirects []Redirect // longest prefix first
	folders   map[string]folder
}

// sendRoot is one path of a folder.
type sendRoot struct {
	path   string // clean and absolute
	folder folder
}

// NewSender checks that the folders are there. Relative ones start in the current folder, now.
func NewSender(o SenderOptions) (*Sender, error) {
	s := &Sender{folders: map[string]folder{}}
	for _, dir := range o.Roots {
		f, err := openFolder(dir, o.FollowSymlinks)
		if err != nil {
			return nil, err
		}
		s.roots = append(s.roots, sendRoot{f.path, f})
		// Apps tend to name a file by its real path, and the folder here by one with a link in it (current/media).
		if real, err := filepath.EvalSymlinks(f.path); err == nil && real != f.path {
			s.roots = append(s.roots, sendRoot{real, f})
		}
	}
	for _, r := range o.Redirects {
		f, err := openFolder(r.Dir, o.FollowSymlinks)
		if err != nil {
			return nil, err
		}
		r.Prefix = cleanPrefix(r.Prefix)
		if _, ok := s.folders[r.Prefix]; ok {
			return nil, fmt.Errorf("static: two folders are at %s/", r.Prefix)
		}
		s.folders[r.Prefix] = f
		s.redirects = append(s.redirects, r)
	}
	sort.SliceStable(s.roots, func(i, j int) bool { return len(s.roots[i].path) > len(s.roots[j].path) })
	sort.Slice(s.redirects, func(i, j int) bool { return len(s.redirects[i].Prefix) > len(s.redirects[j].Prefix) })
	return s, nil
}

// Fields says whether there are folders for X-Sendfile, and for X-Accel-Redirect.
func (s *Sender) Fields() (sendfile, redirect bool) { return len(s.roots) > 0, len(s.redirects) > 0 }

// SendFile answers r with the file at an absolute path, the value of X-Sendfile as it stands. See [Sender.Redirect] for w and the error.
func (s *Sender) SendFile(w http.ResponseWriter, r *http.Request, path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("static: X-Sendfile %q is no absolute path: %w", path, ErrOutside)
	}
	clean := filepath.Clean(path)
	for _, root := range s.roots {
		if name, ok := strings.CutPrefix(clean, strings.TrimSuffix(root.path, "/")+"/"); ok {
			return send(w, r, root.folder, name)
		}
	}
	return fmt.Errorf("static: X-Sendfile %q: %w", path, ErrOutside)
}

// Redirect answers r with the file that uri means, the value of X-Accel-Redirect: a path, percent-encoded, under one of the prefixes. What
// follows a "?" counts for nothing.
//
// w.Header() has the fields of the app's response, without the one that named the file. They are sent as they are, but for those that describe
// the app's own body (Content-Length, Content-Range, Transfer-Encoding); without Content-Type, ETag and Last-Modified the file has its own.
// Conditional and range requests are answered by ETag and Last-Modified. An error means that nothing was written and the file can't be sent:
// it is [ErrOutside], fs.ErrNotExist (also what is no regular file, or a symbolic link that leads out), fs.ErrPermission, or syscall.EMFILE where too
// many are being sent, as errors.Is says, or another; its text has the path and is for the log, not for the client.
func (s *Sender) Redirect(w http.ResponseWriter, r *http.Request, uri string) error {
	escaped, _, _ := strings.Cut(uri, "?")
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return fmt.Errorf("static: X-Accel-Redirect %q: %w: %w", uri, err, ErrOutside)
	}
	for _, redirect := range s.redirects {
		name, ok := strings.CutPrefix(path, redirect.Prefix+"/")
		if !ok {
			continue
		}
		if !filepath.IsLocal(name) || filepath.Clean(name) != name { // dot segments and empty ones
			return fmt.Errorf("static: X-Accel-Redirect %q: %w", uri, ErrOutside)
		}
		return send(w, r, s.folders[redirect.Prefix], name)
	}
	return fmt.Errorf("static: X-Accel-Redirect %q: %w", uri, ErrOutside)
}

func send(w http.ResponseWriter, r *http.Request, f folder, name string) error {
	if err := hold(); err != nil {
		return err
	}
	defer release()
	dir, err := f.open()
	if err != nil {
		return err
	}
	file, err := dir.file(name)
	dir.close()
	if err != nil {
		return err
	}
	defer file.Close()
	h := w.Header()
	for _, field := range []string{"Content-Length", "Content-Range", "Transfer-Encoding"} {
		h.Del(field)
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", typeOf(name))
	}
	if h.Get("Etag") == "" {
		h.Set("Etag", file.etag(h.Get("Content-Encoding")))
	}
	modified := file.info.ModTime()
	if t, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		modified = t
	}
	serveFile(w, r, file, modified)
	return nil
}
