package privileges

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Access says why the identity may not use a file or folder, nil where it may: mode is made of unix.R_OK, W_OK and X_OK, and each folder on the way must be
// one that it may enter. Links are followed. It goes by the permissions alone: access control lists are not looked at, and user 0 may all.
func (id *Identity) Access(path string, mode uint32) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for _, p := range []string{path, real} {
		for dir := filepath.Dir(p); ; dir = filepath.Dir(dir) {
			if err := id.may(dir, unix.X_OK); err != nil {
				return err
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return id.may(real, mode)
}

// may looks at one file's own permissions.
func (id *Identity) may(path string, mode uint32) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || id.uid == 0 {
		return nil
	}
	granted := st.Mode & 7
	switch {
	case int(st.Uid) == id.uid:
		granted = st.Mode >> 6 & 7
	case slices.Contains(id.groups, int(st.Gid)):
		granted = st.Mode >> 3 & 7
	}
	if granted&mode != mode {
		return fmt.Errorf("%s has the mode %v and belongs to user %d: %w", path, info.Mode(), st.Uid, os.ErrPermission)
	}
	return nil
}
