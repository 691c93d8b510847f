package static

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// codings are the content codings that a file may have been compressed with beforehand, best first.
var codings = [...]struct{ name, suffix string }{{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}

// variant takes the place of a file by a compressed one beside it, where there is one and the client prefers it. vary: there are some.
func (d openedFolder) variant(file regularFile, name string, accept []string) (chosen regularFile, coding string, vary bool) {
	if isCompressed(name) {
		return file, "", false
	}
	weights := weigh(accept)
	best, suffix := weights.identity, ""
	for i, c := range codings {
		if !d.hasVariant(name+c.suffix, file.info) {
			continue
		}
		vary = true
		if q := weights.codings[i]; q > best || q == best && q > 0 && coding == "" {
			best, coding, suffix = q, c.name, c.suffix
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

// weights are what the client gives each coding, in thousandths; 0: it is not wanted.
type weights struct {
	codings  [len(codings)]int
	identity int
}

// weigh reads Accept-Encoding (RFC 9110 12.5.3). No coding at all is acceptable unless it is excluded, and then comes last.
func weigh(fields []string) (w weights) {
	const unset = -1
	w.identity = unset
	for i := range w.codings {
		w.codings[i] = unset
	}
	rest := unset
	for _, field := range fields {
		for item := range strings.SplitSeq(field, ",") {
			name, parameters, _ := strings.Cut(item, ";")
			name = strings.ToLower(strings.Trim(name, " \t"))
			q := quality(parameters)
			switch name {
			case "identity":
				w.identity = q
			case "*":
				rest = q
			case "x-gzip":
				name = "gzip"
			}
			for i, c := range codings {
				if c.name == name {
					w.codings[i] = q
				}
			}
		}
	}
	for i, q := range w.codings {
		if q == unset {
			w.codings[i] = max(rest, 0)
		}
	}
	w.identity = max(w.identity, 0)
	return w
}

// quality is the weight in the parameters of a coding, in thousandths. A malformed one excludes the coding.
func quality(parameters string) int {
	name, value, ok := strings.Cut(strings.Trim(parameters, " \t"), "=")
	if !ok && name == "" {
		return 1000
	}
	q, err := strconv.ParseFloat(value, 64)
	if !strings.EqualFold(name, "q") || err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return int(q * 1000)
}
