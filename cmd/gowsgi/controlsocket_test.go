package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// controlFolderIn has the control sockets' folder in another.
func controlFolderIn(t *testing.T, dir string) {
	t.Setenv("RUNTIME_DIRECTORY", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", dir)
}

func TestAControlSocketIsNotMadeInAFolderThatOthersMayChange(t *testing.T) {
	for what, prepare := range map[string]func(folder string) error{
		"a link":              func(folder string) error { return os.Symlink(t.TempDir(), folder) },
		"a folder for anyone": func(folder string) error { return errorOf(os.Mkdir(folder, 0o700), os.Chmod(folder, 0o777)) },
		"another's folder":    func(folder string) error { return errorOf(os.Mkdir(folder, 0o700), os.Chown(folder, 12345, 12345)) },
	} {
		controlFolderIn(t, t.TempDir())
		if err := prepare(controlFolder()); os.IsPermission(err) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		ln, err := listenControl(controlPath("", "127.0.0.1:80"))
		if err == nil {
			_ = ln.Close()
			t.Errorf("%s is used", what)
		} else if !strings.Contains(err.Error(), "--control-socket") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func errorOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestTheControlSocketOfALongAddressHasAShortName(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "c")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	controlFolderIn(t, dir)
	address := "unix:/" + strings.Repeat("long/", 20) + "socket"
	path := controlPath("", address)
	ln, err := listenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if other := controlPath("", address+"2"); other == path || filepath.Dir(other) != filepath.Dir(path) {
		t.Error(path, other)
	}
}

func TestAControlSocketOfAServerThatRunsStays(t *testing.T) {
	controlFolderIn(t, t.TempDir())
	path := controlPath("", "fd:3")
	ln, err := listenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := listenControl(path); err == nil || !strings.Contains(err.Error(), "--control-socket") {
		t.Error(err)
	}
}
