// Package logfile writes the log to a file that several processes share and that logrotate may rename.
package logfile

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Writer appends to a file. It can be used from any goroutine. Each Write goes to the end of the file in one piece (O_APPEND), whoever else
// writes to it: a caller that writes whole lines gets whole lines.
type Writer struct {
	path  string
	stdio bool
	mu    sync.Mutex // a write that the kernel takes in two parts stays in one file
	f     *os.File
}

// Option changes what Open does.
type Option func(*Writer)

// RedirectStdio puts the file in the place of standard output and standard error as well, for the whole process and what it starts, so that
// what Python prints and what C code says when it crashes are in the log.
func RedirectStdio() Option { return func(w *Writer) { w.stdio = true } }

// Open opens the file at path for appending, and makes it (mode 0640, less the umask) where there is none. Its folder must be there. A named
// pipe need have no reader: without one a Write waits when the pipe is full.
func Open(path string, options ...Option) (*Writer, error) {
	w := &Writer{path: path}
	for _, set := range options {
		set(w)
	}
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	w.f = f
	if err := w.redirect(f); err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

func open(path string) (*os.File, error) {
	flags := os.O_WRONLY
	if st, err := os.Stat(path); err == nil && st.Mode()&os.ModeNamedPipe != 0 {
		flags = os.O_RDWR // else the open waits for a reader
	}
	f, err := os.OpenFile(path, flags|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("can't open the log file: %w", err)
	}
	return f, nil
}

func (w *Writer) redirect(f *os.File) error {
	if !w.stdio {
		return nil
	}
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(f.Fd()), fd, 0); err != nil {
			return fmt.Errorf("can't put the log file %s in the place of descriptor %d: %w", w.path, fd, err)
		}
	}
	return nil
}

// Write implements [io.Writer].
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.f.Write(p)
}

// Reopen opens the file at the path anew, after it was renamed or removed. Where that fails the file that is open stays in use.
// Nothing that is being written meanwhile is lost: it is in the one file or in the other.
func (w *Writer) Reopen() error {
	f, err := open(w.path)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.redirect(f); err != nil {
		f.Close()
		return err
	}
	old := w.f
	w.f = f
	return old.Close()
}

// Close closes the file. A Write that waits is to have ended.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.f.Close()
}
