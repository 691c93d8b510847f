package static

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gowsgi/gowsgi/gateway/internal/contentcoding"
)

// codings are the content codings that a file may have been compressed with beforehand, the smallest first.
var codings = [...]struct {
	contentcoding.Coding
	suffix string
}{{contentcoding.Brotli, ".br"}, {contentcoding.Zstd, ".zst"}, {contentcoding.Gzip, ".gz"}}

// variant takes the place of a file by a compressed one beside it, where there is one and the client prefers it. vary: there are some.
func (d openedFolder) variant(file regularFile, name string, accept []string) (chosen regularFile, coding string, vary bool) {
	if isCompressed(name) {
		return file, "", false
	}
	var weights contentcoding.Weights
	for _, field := range accept {
		weights.Add(field)
	}
	best, suffix := weights.Of(contentcoding.Identity), ""
	for _, c := range codings {
		if !d.hasVariant(name+c.suffix, file.info) {
			continue
		}
		vary = true
		if q := weights.Of(c.Coding); q > best || q == best && q > 0 && coding == "" {
			best, coding, suffix = q, c.String(), c.suffix
		}
	}
	if coding == "" {
		return file, "", vary
	}
	compressed, err := d.file(name + suffix)
	if err != nil {
		return file, "", vary
	}
	_ = file.Close()
	return compressed, coding, vary
}

// hasVariant says whether a compressed file is there and as new as the original. Tools that give it the original's time drop the fraction of the
// second.
func (d openedFolder) hasVariant(name string, original fs.FileInfo) bool {
	var info fs.FileInfo
	var err error
	if d.follow {
		info, err = os.Stat(filepath.Join(d.path, name))
	} else {
		info, err = d.root.Stat(name)
	}
	return err == nil && info.Mode().IsRegular() && info.ModTime().Unix() >= original.ModTime().Unix()
}

// isCompressed says whether nobody compresses a file of this type once more.
func isCompressed(name string) bool {
	t := typeOf(name)
	switch t {
	case "image/svg+xml", "image/x-icon", "image/bmp":
		return false
	case "font/woff", "font/woff2", "application/gzip", "application/zstd", "application/zip":
		return true
	}
	kind, _, _ := strings.Cut(t, "/")
	return kind == "image" || kind == "video" || kind == "audio"
}
