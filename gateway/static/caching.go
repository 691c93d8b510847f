package static

import (
	"path"
	"strings"
)

// cachingOf is the Cache-Control of a file. Pages are asked for anew each time, since they name the other files; a new page with old scripts
// would not work.
func cachingOf(name string) string {
	switch {
	case hasHash(path.Base(name)):
		return "public, max-age=31536000, immutable"
	case strings.HasPrefix(typeOf(name), "text/html"):
		return "no-cache"
	}
	return "public, max-age=60"
}

// hasHash says whether the name of a file has a hash of its content in it, so that the name changes with the content: between dots, as
// Django's ManifestStaticFilesStorage and webpack write it (name.0123456789ab.css), or after a hyphen, as vite does (name-BxT3x9aZ.js).
// A name taken for one is not asked for again for a year, and one that is missed only costs a conditional request a minute: in doubt it is none.
func hasHash(base string) bool {
	parts := strings.Split(base, ".")
	for i, part := range parts[:len(parts)-1] { // the last is the extension
		if i > 0 && isHex(part, 1) {
			return true
		}
		for at := strings.IndexByte(part, '-'); at >= 0; at = strings.IndexByte(part, '-') {
			part = part[at+1:]
			if len(part) == 8 && isMixed(part) {
				return true
			}
		}
		if len(part) < len(parts[i]) && isHex(part, 2) {
			return true
		}
	}
	return false
}

// isHex says whether a text is a hash in hexadecimal: neither a date or a number nor a word. mixed is how often it must change between letters
// and digits, 2 where one behind the other is a name (decade42).
func isHex(text string, mixed int) bool {
	changes := 0
	for i := range len(text) {
		digit := text[i] >= '0' && text[i] <= '9'
		if !digit && (text[i] < 'a' || text[i] > 'f') {
			return false
		}
		if i > 0 && digit != (text[i-1] <= '9') {
			changes++
		}
	}
	return len(text) >= 8 && len(text) <= 64 && changes >= mixed
}

// isMixed says whether a text has letters of both cases, or upper case alone, and digits, more mixed than in names: Berlin24, iPhone12 and
// MacOSX10 change at most three times between upper case, lower case and digits. About half of vite's hashes are.
func isMixed(text string) bool {
	const upper, lower, digit = 1, 2, 4
	seen, last, changes := 0, 0, -1
	for i := range len(text) {
		var kind int
		switch c := text[i]; {
		case 'A' <= c && c <= 'Z':
			kind = upper
		case 'a' <= c && c <= 'z':
			kind = lower
		case '0' <= c && c <= '9':
			kind = digit
		default: // in half of the names with one it stands between words
			return false
		}
		if kind != last {
			changes++
		}
		seen |= kind
		last = kind
	}
	return seen&upper != 0 && seen&digit != 0 && changes >= 4
}
