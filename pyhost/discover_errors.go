package pyhost

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// NoLibraryError says that an interpreter has no shared libpython. Many are built without: python itself does not need one.
type NoLibraryError struct {
	// Executable, Version and BasePrefix are the interpreter's (sys.executable, sys.version_info, sys.base_prefix).
	Executable, Version, BasePrefix string
	// Looked is the files that were looked for, with a reason where one was there.
	Looked []string
	// Mend is the shell command that mends it.
	Mend string
}

func (e *NoLibraryError) Error() string {
	return fmt.Sprintf("pyhost: %s (CPython %s of %s) has no shared library to load. Looked for%s\nTo mend it: %s",
		e.Executable, e.Version, e.BasePrefix, indent(strings.Join(e.Looked, "\n")), e.Mend)
}

// UnsupportedError says that an interpreter can't be loaded, whatever its library.
type UnsupportedError struct {
	Executable string
	// Reason goes on after the executable: "is CPython 3.8.18; 3.9 or newer is needed".
	Reason string
}

func (e *UnsupportedError) Error() string { return "pyhost: " + e.Executable + " " + e.Reason }

// mendCommand is the command that gives this interpreter a shared library, by who installed it.
func (a *answer) mendCommand() string {
	base, xy := filepath.ToSlash(a.BasePrefix), a.majorMinor()
	if _, err := os.Stat(filepath.Join(base, "conda-meta")); err == nil {
		return "conda install --prefix " + shellQuote(base) + " --force-reinstall -c conda-forge python=" + xy
	}
	if root, version, ok := strings.Cut(base, "/versions/"); ok && (strings.HasSuffix(root, "pyenv") || root == os.Getenv("PYENV_ROOT")) {
		return "PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install --force " + shellQuote(strings.SplitN(version, "/", 2)[0])
	}
	if strings.Contains(base, "/uv/python/") {
		return "uv python install --reinstall " + xy + a.ABIFlags
	}
	if base == "/usr" {
		return "apt-get install libpython" + xy + a.ABIFlags + "   # Debian, Ubuntu; elsewhere the system's package of that library"
	}
	return "build CPython " + a.Version + " with ./configure --prefix=" + shellQuote(base) +
		" --enable-shared, or take one that has the library: uv python install " + xy
}

// shellQuote makes one word of s for a shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:,@%=", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
