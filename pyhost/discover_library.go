package pyhost

import (
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// findLibrary looks for the interpreter's shared library, the surest place first: what the interpreter itself runs on, then beside its
// standard library, then where it was installed to when it was built. Other folders are left alone: a libpython of the same version
// from another build (Debian's beside one of pyenv's) would run with the wrong extension modules.
func (a *answer) findLibrary() (string, error) {
	var looked []string
	for _, path := range a.libraryPaths() {
		err := loadable(path)
		if err == nil {
			return path, nil
		}
		var unsupported *UnsupportedError
		if errors.As(err, &unsupported) {
			unsupported.Executable = a.Executable
			return "", unsupported
		}
		if !errors.Is(err, fs.ErrNotExist) {
			path += " (" + err.Error() + ")"
		}
		looked = append(looked, path)
	}
	return "", &NoLibraryError{
		Executable: a.Executable, Version: a.Version, BasePrefix: a.BasePrefix, Looked: looked, Mend: a.mendCommand(),
	}
}

func (a *answer) libraryPaths() []string {
	stem := "libpython" + a.majorMinor()
	var names []string
	for _, name := range append(slices.Clone(a.Libraries), stem+a.ABIFlags+".so.1.0", stem+a.ABIFlags+".so") {
		names = appendNew(names, filepath.Base(name))
	}
	var paths []string
	for _, path := range a.Mapped {
		if strings.HasPrefix(filepath.Base(path), stem) {
			paths = appendNew(paths, path)
		}
	}
	lib := filepath.Join(a.BasePrefix, "lib")
	dirs := []string{lib}
	if a.Multiarch != "" {
		dirs = append(dirs, filepath.Join(lib, a.Multiarch))
	}
	dirs = append(dirs, filepath.Join(a.BasePrefix, "lib64"))
	if a.LibDir != "" {
		dirs = append(dirs, a.LibDir)
	}
	for _, name := range names {
		for _, dir := range dirs {
			paths = appendNew(paths, filepath.Join(dir, name))
		}
	}
	return paths
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// loadable says why the file can't be loaded into this process, as far as its headers tell.
func loadable(path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	f, err := elf.Open(path)
	if err != nil {
		return errors.New("not a shared library")
	}
	defer f.Close()
	if f.Type != elf.ET_DYN {
		return errors.New("not a shared library")
	}
	return fits(buildOf(f), ownBuild())
}

// checkProgram refuses an interpreter of another machine or libc before it is run: the kernel would only say "no such file or directory".
func checkProgram(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return nil // A script, such as a pyenv shim; running it tells.
	}
	defer f.Close()
	err = fits(buildOf(f), ownBuild())
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		unsupported.Executable = path
	}
	return err
}

// build is what two files must share to run in one process.
type build struct {
	machine elf.Machine
	// libc is "glibc" or "musl", "" where that can't be told.
	libc string
}

func fits(other, own build) error {
	if own.machine != elf.EM_NONE && own.machine != other.machine {
		return &UnsupportedError{Reason: "is built for " + other.machine.String() + ", and this program for " + own.machine.String()}
	}
	if own.libc != "" && other.libc != "" && other.libc != own.libc {
		return &UnsupportedError{Reason: "is built for " + other.libc + ", and this program for " + own.libc +
			"; take a Python for " + own.libc + ", or a build of this program for " + other.libc}
	}
	return nil
}

// ownBuild is this program's; it has no libc where it was linked without one.
var ownBuild = sync.OnceValue(func() build {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return build{}
	}
	defer f.Close()
	return buildOf(f)
})

func buildOf(f *elf.File) build {
	b := build{machine: f.Machine}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name := make([]byte, min(p.Filesz, 4096))
		if _, err := p.ReadAt(name, 0); err != nil {
			return b
		}
		switch {
		case strings.Contains(string(name), "ld-musl"):
			b.libc = "musl"
		case strings.Contains(string(name), "ld-linux"):
			b.libc = "glibc"
		}
		return b
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return b
	}
	for _, name := range needed {
		switch {
		case name == "libc.so.6":
			b.libc = "glibc"
		case name == "libc.so" || strings.HasPrefix(name, "libc.musl"):
			b.libc = "musl"
		}
	}
	return b
}
