package bundled

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// tree is a folder whose whole content comes from unpack.
type tree struct {
	dir    string
	unpack func(dir string) error
}

// ensure unpacks the tree where it is missing or damaged. Processes that call it at once wait for the first.
func (t tree) ensure() error {
	if t.check() == nil {
		return nil
	}
	return t.locked(func() error {
		if t.check() == nil {
			return nil // Another process was faster.
		}
		return t.replace()
	})
}

// verify is ensure by the hash of each file.
func (t tree) verify() (mended bool, err error) {
	err = t.locked(func() error {
		if compareHashes(t.dir) == nil {
			return nil
		}
		mended = true
		return t.replace()
	})
	return mended, err
}

// check compares types, sizes and modes with the list; it reads no file but that.
func (t tree) check() error { return compare(t.dir) }

func (t tree) locked(do func() error) error {
	if err := os.MkdirAll(filepath.Dir(t.dir), 0o700); err != nil {
		return fmt.Errorf("bundled: %w", err)
	}
	f, err := os.OpenFile(t.dir+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("bundled: %w", err)
	}
	defer f.Close() // Which lets the lock go. The file stays: to remove it would give two processes two locks.
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("bundled: lock %s: %w", f.Name(), err)
		}
	}
	return do()
}

// replace unpacks beside the tree and renames. Called with the lock held, so what lies there under a temporary name is a dead process's.
func (t tree) replace() error {
	left, err := filepath.Glob(t.dir + ".tmp-*")
	if err != nil {
		return fmt.Errorf("bundled: %w", err)
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("bundled: %w", err)
		}
	}
	tmp, err := os.MkdirTemp(filepath.Dir(t.dir), filepath.Base(t.dir)+".tmp-")
	if err != nil {
		return fmt.Errorf("bundled: %w", err)
	}
	defer os.RemoveAll(tmp)
	fresh, old := filepath.Join(tmp, "new"), filepath.Join(tmp, "old")
	if err := t.unpack(fresh); err != nil {
		return fmt.Errorf("bundled: unpacking Python to %s: %w", fresh, err)
	}
	if err := writeList(fresh); err != nil {
		return fmt.Errorf("bundled: %w", err)
	}
	if err := os.Rename(t.dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("bundled: %w", err)
	}
	if err := os.Rename(fresh, t.dir); err != nil {
		return fmt.Errorf("bundled: %w", err)
	}
	return nil
}
