package pyhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Python is an interpreter that [Open] can load.
type Python struct {
	// Executable is the interpreter's path as it reports it (sys.executable): in a virtualenv the virtualenv's own bin/python, not what
	// that links to. CPython finds its prefix from it.
	Executable string
	// Library is the path of the shared libpython.
	Library string
	// Version is three numbers with dots ("3.12.1").
	Version string
	// Prefix is sys.prefix, BasePrefix sys.base_prefix: they differ in a virtualenv.
	Prefix, BasePrefix string
	// FreeThreaded says that it is a build without the GIL.
	FreeThreaded bool
	// Bundled says that it came with the program.
	Bundled bool
	// Source says where it was found: "--python", "VIRTUAL_ENV", "CONDA_PREFIX", ".venv", "venv", "PATH" or "bundled".
	Source string
	// Skipped is why python3 on PATH was passed over for the bundled one, nil where it was not.
	Skipped error
}

// DiscoverOptions says where to look.
type DiscoverOptions struct {
	// Python is an executable, the name of one on PATH, or the folder of a virtualenv or another installation; "bundled" is the bundled
	// one. Nothing else is looked at where it is set.
	Python string
	// Dir is the folder in which .venv and venv are looked for, the current one where empty.
	Dir string
	// Env looks environment variables up, os.Getenv where nil. What is run to ask an interpreter gets the process's own environment.
	Env func(string) string
	// Bundled gives the interpreter that the program brings along; nil where it brings none.
	Bundled func() (Python, error)
	// Mend is called with the folder that a virtualenv names as its interpreter's home, before its python is run. A program that
	// unpacks its own interpreter sees there that the folder is whole. May be nil.
	Mend func(home string) error

	timeout time.Duration
}

// ErrNotFound is what [Discover] returns, wrapped, where there is no Python at all.
var ErrNotFound = errors.New("no Python found")

// Discover finds the Python to load, in this order: o.Python, $VIRTUAL_ENV, $CONDA_PREFIX, .venv or venv in o.Dir, python3 on PATH, the
// bundled one. A conda environment called base (or root) counts only through PATH: conda activates it in every shell, and it would
// hide a .venv beside the app. The first that exists is taken; where it can't be loaded the error says why, and nothing else is tried, so
// that an app never runs with another Python than the one that was meant. Only python3 on PATH, which nobody chose for the app, gives
// way to the bundled one.
//
// The interpreter is asked by running it once for at most 10 s (python -I), so a pyenv shim works. Discover is for the time before [Open]: a
// process that hosts Python should run no programs through os/exec.
//
// Errors are *[NoLibraryError], *[UnsupportedError], [ErrNotFound] wrapped, or what running the interpreter gave.
func Discover(o DiscoverOptions) (Python, error) {
	if o.Env == nil {
		o.Env = os.Getenv
	}
	if o.timeout == 0 {
		o.timeout = askTimeout
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return Python{}, fmt.Errorf("pyhost: the app's folder: %w", err)
	}
	o.Dir = dir

	if o.Python == "bundled" && o.Bundled != nil {
		return o.bundled(nil)
	}
	source, path, err := o.chosen()
	switch {
	case err != nil:
		return Python{}, err
	case path != "":
		return o.inspect(source, path)
	}
	var skipped error
	if path = lookPath("python3", o.Env("PATH")); path != "" {
		p, err := o.inspect("PATH", path)
		if err == nil || o.Bundled == nil {
			return p, err
		}
		skipped = err
	}
	if o.Bundled == nil {
		return Python{}, fmt.Errorf("pyhost: %w: VIRTUAL_ENV and CONDA_PREFIX are not set, there is no .venv or venv in %s and no python3 on "+
			"PATH; make a virtualenv there (python3 -m venv .venv) or name an interpreter with --python", ErrNotFound, o.Dir)
	}
	return o.bundled(skipped)
}

func (o *DiscoverOptions) bundled(skipped error) (Python, error) {
	p, err := o.Bundled()
	if err != nil {
		return Python{}, fmt.Errorf("pyhost: the bundled Python: %w", err)
	}
	p.Bundled, p.Source, p.Skipped = true, "bundled", skipped
	return p, nil
}

// chosen is the interpreter that somebody chose for the app, "" where nobody did.
func (o *DiscoverOptions) chosen() (source, path string, err error) {
	if o.Python != "" {
		path, err := o.named()
		return "--python", path, err
	}
	if v := o.Env("VIRTUAL_ENV"); v != "" {
		path, err := o.environment("VIRTUAL_ENV", v)
		return "VIRTUAL_ENV", path, err
	}
	if v := o.Env("CONDA_PREFIX"); v != "" && o.Env("CONDA_DEFAULT_ENV") != "base" && o.Env("CONDA_DEFAULT_ENV") != "root" {
		// An environment of conda's need not hold a Python.
		if path := pythonIn(v); path != "" {
			return "CONDA_PREFIX", path, nil
		}
	}
	for _, name := range []string{".venv", "venv"} {
		v := filepath.Join(o.Dir, name)
		if home(v) == "" && pythonIn(v) == "" {
			if err := checkReach(name, filepath.Join(v, "bin", "python")); err != nil {
				return "", "", err
			}
			continue
		}
		path, err := o.environment(name, v)
		return name, path, err
	}
	return "", "", nil
}

// environment is the python of the virtualenv in dir. A virtualenv that lost its python is an error: another one would not have its packages.
func (o *DiscoverOptions) environment(source, dir string) (string, error) {
	if path := pythonIn(dir); path != "" {
		return path, nil
	}
	if err := o.mend(dir); err != nil {
		return "", err
	}
	if path := pythonIn(dir); path != "" {
		return path, nil
	}
	if err := checkReach(source, filepath.Join(dir, "bin", "python")); err != nil {
		return "", err
	}
	return "", fmt.Errorf("pyhost: %s: there is no python in %s: make the virtualenv again (python3 -m venv --clear %s)",
		source, filepath.Join(dir, "bin"), shellQuote(dir))
}

func (o *DiscoverOptions) mend(venv string) error {
	if h := home(venv); h != "" && o.Mend != nil {
		return o.Mend(h)
	}
	return nil
}

// inspect asks the interpreter and finds its library.
func (o *DiscoverOptions) inspect(source, path string) (Python, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Python{}, fmt.Errorf("pyhost: %s: %w", source, err)
	}
	if err := o.mend(filepath.Dir(filepath.Dir(path))); err != nil {
		return Python{}, err
	}
	if err := checkProgram(path); err != nil {
		return Python{}, err
	}
	a, err := ask(path, o.Dir, o.timeout)
	if err != nil {
		return Python{}, err
	}
	if err := a.supported(); err != nil {
		return Python{}, err
	}
	library, err := a.findLibrary()
	if err != nil {
		return Python{}, err
	}
	return Python{
		Executable: a.Executable, Library: library, Version: a.Version, Prefix: a.Prefix, BasePrefix: a.BasePrefix,
		FreeThreaded: a.FreeThreaded, Source: source,
	}, nil
}

// named resolves what --python gave.
func (o *DiscoverOptions) named() (string, error) {
	name := o.Python
	for _, dir := range []string{name, filepath.Dir(filepath.Dir(name))} {
		if err := o.mend(dir); err != nil {
			return "", err
		}
	}
	st, err := os.Stat(name)
	switch {
	case err == nil && st.IsDir():
		if path := pythonIn(name); path != "" {
			return path, nil
		}
		if err := checkReach("--python", filepath.Join(name, "bin", "python")); err != nil {
			return "", err
		}
		return "", fmt.Errorf("pyhost: --python %s: the folder has no bin/python", name)
	case err == nil && st.Mode()&0o111 != 0:
		return name, nil
	case err == nil:
		return "", fmt.Errorf("pyhost: --python %s: the file is not executable", name)
	case !strings.ContainsRune(name, '/'):
		if path := lookPath(name, o.Env("PATH")); path != "" {
			return path, nil
		}
		return "", fmt.Errorf("pyhost: --python %s: there is no such file, and no such program on PATH", name)
	}
	if err := checkReach("--python", name); err != nil {
		return "", err
	}
	return "", fmt.Errorf("pyhost: --python %s: %w", name, errors.Unwrap(err))
}

// pythonIn is the python of an installation or virtualenv in dir, "" where it has none that can be run.
func pythonIn(dir string) string {
	for _, name := range []string{"python", "python3"} {
		if path := filepath.Join(dir, "bin", name); isProgram(path) {
			return path
		}
	}
	return ""
}

// lookPath finds a program in the absolute folders of PATH. A relative one depends on where the server happens to be started.
func lookPath(name, pathVar string) string {
	for _, dir := range filepath.SplitList(pathVar) {
		if path := filepath.Join(dir, name); filepath.IsAbs(dir) && isProgram(path) {
			return path
		}
	}
	return ""
}

func isProgram(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// home is the folder of the interpreter that the virtualenv in dir was made with, "" where dir is no virtualenv.
func home(dir string) string {
	cfg, err := os.ReadFile(filepath.Join(dir, "pyvenv.cfg"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(cfg)) {
		if key, value, ok := strings.Cut(line, "="); ok && strings.EqualFold(strings.TrimSpace(key), "home") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
