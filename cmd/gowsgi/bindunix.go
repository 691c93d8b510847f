package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/privileges"
)

// listenUnix makes a unix socket. Nobody can connect to it before it has the owner and the mode that were asked for.
func (b bind) listenUnix() (net.Listener, error) {
	if err := removeStale(b.address); err != nil {
		return nil, err
	}
	if !b.words.owned() {
		return net.Listen("unix", b.address)
	}
	uid, gid := -1, -1
	var err error
	if b.words.user != "" {
		if uid, err = privileges.UserID(b.words.user); err != nil {
			return nil, fmt.Errorf("user=%w", err)
		}
	}
	if b.words.group != "" {
		if gid, err = privileges.GroupID(b.words.group); err != nil {
			return nil, fmt.Errorf("group=%w", err)
		}
	}
	umask := syscall.Umask(0o777)
	ln, err := net.Listen("unix", b.address)
	syscall.Umask(umask)
	if err != nil {
		return nil, err
	}
	mode := b.words.mode
	if mode == 0 {
		mode = 0o777 &^ fs.FileMode(umask)
	}
	if err := giveSocket(b.address, uid, gid, mode); err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

// socketFile is the file of a unix socket that this server made.
type socketFile struct {
	path string // from the root on: the current folder may be another in the end; "": none
	made fs.FileInfo
	once sync.Once
}

// madeSocket is the file at a path, "" for none.
func madeSocket(path string) *socketFile {
	f := &socketFile{}
	if path != "" {
		f.path, _ = filepath.Abs(path)
		f.made, _ = os.Lstat(path)
	}
	return f
}

// remove removes the file, once, unless something else is there now.
func (f *socketFile) remove() {
	f.once.Do(func() {
		if st, err := os.Lstat(f.path); err == nil && os.SameFile(st, f.made) {
			_ = os.Remove(f.path)
		}
	})
}

// giveSocket gives a unix socket that was made with mode 0 its owner, where that is not -1, and its mode. It works on one descriptor: a link
// that somebody puts in the socket's place meanwhile is not followed.
func giveSocket(path string, uid, gid int, mode fs.FileMode) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || int(st.Uid) != os.Geteuid() {
		return errors.New("somebody has put something else in the socket's place")
	}
	if uid >= 0 || gid >= 0 {
		err := unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH)
		if errors.Is(err, unix.EPERM) {
			return errors.New("the socket can't be given away: only root can (or CAP_CHOWN), and its owner to a group that he is in")
		}
		if err != nil {
			return os.NewSyscallError("fchownat", err)
		}
	}
	if err := os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode); err != nil {
		return fmt.Errorf("its mode can't be set: %w", err)
	}
	return nil
}
