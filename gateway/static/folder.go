package static

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// folder is a folder whose files are served. It is looked up by its path for each request, so that a deployment may replace it.
type folder struct {
	path   string // absolute
	follow bool   // symbolic links that lead out of it
}

// openFolder checks that a folder is there.
func openFolder(path string, follow bool) (folder, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return folder{}, fmt.Errorf("static: %w", err)
	}
	info, err := os.Stat(absolute)
	switch {
	case err != nil:
		return folder{}, fmt.Errorf("static: %w", err)
	case !info.IsDir():
		return folder{}, fmt.Errorf("static: %s is not a folder", absolute)
	}
	return folder{absolute, follow}, nil
}

// openedFolder is a folder for the time of a request.
type openedFolder struct {
	folder
	root *os.Root // nil where links are followed
}

func (f folder) open() (openedFolder, error) {
	if f.follow {
		return openedFolder{folder: f}, nil
	}
	root, err := os.OpenRoot(f.path)
	return openedFolder{f, root}, err
}

func (d openedFolder) close() {
	if d.root != nil {
		_ = d.root.Close()
	}
}

// regularFile is an open file.
type regularFile struct {
	*os.File
	info fs.FileInfo // of the open file
}

// errFolder is the error of a name that is a folder's.
var errFolder = fmt.Errorf("it is a folder: %w", fs.ErrNotExist)

// file opens a regular file. name is relative, without dot segments. It does not wait for a FIFO or a device.
func (d openedFolder) file(name string) (regularFile, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY
	var f *os.File
	var err error
	if d.follow {
		f, err = os.OpenFile(filepath.Join(d.path, name), flags, 0)
	} else {
		f, err = d.root.OpenFile(name, flags, 0)
	}
	if err != nil {
		return regularFile{}, refused(err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = errFolder
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is no regular file: %w", f.Name(), fs.ErrNotExist)
	default:
		return regularFile{f, info}, nil
	}
	_ = f.Close()
	return regularFile{}, err
}

// refused is the error of open with fs.ErrNotExist in it where there is nothing to serve under that name: one segment is a file, the name is
// too long, links go in a circle or lead out.
func refused(err error) error {
	for _, real := range []error{
		fs.ErrNotExist, fs.ErrPermission, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO, syscall.ESTALE,
	} {
		if errors.Is(err, real) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", err, fs.ErrNotExist)
}

// etag is a strong entity tag: it differs for each content coding of the file, and each time that the file is written.
func (f regularFile) etag(coding string) string {
	b := append(make([]byte, 0, 48), '"')
	b = strconv.AppendInt(b, f.info.ModTime().UnixNano(), 16)
	b = append(b, '-')
	b = strconv.AppendInt(b, f.info.Size(), 16)
	if coding != "" {
		b = append(append(b, '-'), coding...)
	}
	return string(append(b, '"'))
}
