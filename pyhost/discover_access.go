package pyhost

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// checkReach says who may not reach path, and which folder is in the way; nil where none is. A server that gave up root's rights may have been
// started with a virtualenv, or one whose interpreter is, in root's own folder.
func checkReach(source, path string) error {
	dir := closedFolder(path)
	if dir == "" {
		return nil
	}
	name := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return fmt.Errorf("pyhost: %s: user %s can't use %s: that user may not enter the folder %s; make the virtualenv, with its Python, where it may, or let it "+
		"in (chmod o+x %s)", source, name, path, dir, shellQuote(dir))
}

// closedFolder is the first folder on the way to path, links followed, that this process may not enter, "" where there is none.
func closedFolder(path string) string {
	for range 40 { // as many links as the kernel follows
		var way []string
		for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
			way = append(way, dir)
			if dir == filepath.Dir(dir) {
				break
			}
		}
		for i := len(way) - 1; i >= 0; i-- {
			if unix.Faccessat(unix.AT_FDCWD, way[i], unix.X_OK, unix.AT_EACCESS) == unix.EACCES {
				return way[i]
			}
		}
		target, err := os.Readlink(path)
		if err != nil {
			return ""
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return ""
}
