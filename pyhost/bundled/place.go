package bundled

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// open makes sure that a whole tree is unpacked in one of the places, and returns its folder.
func open(name string, unpack func(dir string) error) (string, error) {
	var errs []error
	for _, place := range places() {
		t := tree{filepath.Join(place, name), unpack}
		if t.check() == nil {
			return t.dir, nil
		}
		if err := writable(place); err != nil {
			errs = append(errs, err)
			continue
		}
		return t.dir, t.ensure()
	}
	return "", fmt.Errorf("bundled: there is no folder to unpack Python to; set XDG_CACHE_HOME to one that can be written: %w", errors.Join(errs...))
}

// treeOf is the tree whose bin folder is home. ok is false where home is another folder than those that open uses.
func treeOf(home, name string, unpack func(dir string) error) (t tree, ok bool) {
	dir := filepath.Dir(filepath.Clean(home))
	for _, place := range places() {
		if samePath(dir, filepath.Join(place, name)) {
			return tree{dir, unpack}, true
		}
	}
	return tree{}, false
}

// places is where the tree may be: the user's cache folder, else a folder under the temporary one that only this user can write.
func places() []string {
	var list []string
	if dir, err := os.UserCacheDir(); err == nil {
		list = append(list, filepath.Join(dir, "gowsgi"))
	}
	return append(list, filepath.Join(os.TempDir(), "gowsgi-"+strconv.Itoa(os.Getuid())))
}

// writable makes the place where it is missing. What is run from there must be nobody else's to change.
func writable(place string) error {
	if err := os.MkdirAll(place, 0o700); err != nil {
		return err
	}
	st, err := os.Lstat(place)
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || !st.IsDir() || int(sys.Uid) != os.Getuid() || st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s: is not a folder that only this user can write", place)
	}
	probe, err := os.MkdirTemp(place, ".probe-")
	if err != nil {
		return err
	}
	return os.Remove(probe)
}

// samePath compares where two folders are, though the last elements need not exist.
func samePath(a, b string) bool {
	return a == b || filepath.Base(a) == filepath.Base(b) && resolved(filepath.Dir(a)) == resolved(filepath.Dir(b))
}

func resolved(dir string) string {
	if r, err := filepath.EvalSymlinks(dir); err == nil {
		return r
	}
	return dir
}
