// Package pidfile keeps the file that tells scripts the server's process number.
package pidfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// File is a pid file of this process, which holds a lock (flock) on it. Whether a file is stale is told by the lock alone, never by whether
// the number in it is a process: that may be another's by now.
type File struct {
	path string
	f    *os.File
}

// Write makes the file at path with this process's number. Readers see the old content or the new, nothing between. A file that a
// process left which has ended is replaced; one that a living process holds is an error, and so is one that is no pid file. The lock
// ends with the process, or with Remove; programs that this process starts do not inherit it.
func Write(path string) (*File, error) {
	f, err := write(path)
	if err != nil {
		return nil, fmt.Errorf("can't write the pid file %s: %w", path, err)
	}
	return &File{path, f}, nil
}

func write(path string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return nil, err
	}
	err = func() error {
		if err := f.Chmod(0o644); err != nil {
			return err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			return os.NewSyscallError("flock", err)
		}
		if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
			return err
		}
		return place(f.Name(), path)
	}()
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return f, nil
}

// place gives the file its name, once nobody holds a file of that name.
func place(temporary, path string) error {
	for {
		// A link fails where the name is taken: of two servers that start at once, one sees the other.
		err := os.Link(temporary, path)
		if err == nil {
			return os.Remove(temporary)
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		old, err := lockStale(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		// The lock on the old file is held until the new one is in its place.
		same, err := isAt(old, path)
		if err == nil && same {
			err = os.Rename(temporary, path)
		}
		old.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if same {
			return err
		}
	}
}

// lockStale opens and locks a file that a process left.
func lockStale(path string) (*os.File, error) {
	// Without O_NONBLOCK a pipe of that name would hold the server up.
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	pid, err := read(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("a server that runs holds it (process %s): stop that one, or choose another --pid-file", pid)
	}
	return nil, os.NewSyscallError("flock", err)
}

// read returns the number in a file, "" for an empty one. What holds anything else is somebody's file.
func read(f *os.File) (string, error) {
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", errors.New("there is something of that name that is no file")
	}
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return "", err
	}
	pid := strings.TrimSpace(string(b))
	if _, err := strconv.ParseUint(pid, 10, 31); err != nil && pid != "" {
		return "", errors.New("there is a file of that name, and it is no pid file")
	}
	return pid, nil
}

// isAt tells whether the file still has that name.
func isAt(f *os.File, path string) (bool, error) {
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, there), err
}

// Remove removes the file where it is still the one that Write made, and lets go of the lock. Where the folder does not allow that (the
// server gave up its rights), the file is left empty.
func (p *File) Remove() error {
	defer p.f.Close()
	same, err := isAt(p.f, p.path)
	if same {
		err = os.Remove(p.path)
	}
	if errors.Is(err, fs.ErrPermission) {
		err = p.f.Truncate(0)
	}
	return err
}

// FD is the descriptor that holds the lock, for a program that takes this one's place (execve).
func (p *File) FD() int { return int(p.f.Fd()) }

// Inherit takes over the lock from the program before, whose process this was.
func Inherit(path string, fd int) *File {
	syscall.CloseOnExec(fd)
	return &File{path, os.NewFile(uintptr(fd), path)}
}
