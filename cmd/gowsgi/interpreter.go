package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gowsgi/gowsgi/pyhost"
	"github.com/gowsgi/gowsgi/pyhost/bundled"
)

// pythonCmd runs the bundled interpreter, which makes virtualenvs where no Python is installed.
type pythonCmd struct {
	Args []string `arg:"" optional:"" help:"Arguments of python."`
}

// Run does not return where all is well: the interpreter takes the process over.
func (c *pythonCmd) Run() error {
	p, err := bundled.Open()
	if err != nil {
		return &codeError{exitPython, err}
	}
	args := c.Args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	err = syscall.Exec(p.Executable, append([]string{p.Executable}, args...), os.Environ())
	return &codeError{exitPython, fmt.Errorf("%s: %w", p.Executable, err)}
}

// discover finds the Python for apps that are started in the current folder.
func discover(python string, mounts []mount) (pyhost.Python, error) {
	o := pyhost.DiscoverOptions{Python: python, Dir: venvDir(mounts)}
	if bundled.Included {
		o.Bundled, o.Mend = bundled.Open, bundled.Mend
	}
	p, err := pyhost.Discover(o)
	if err != nil {
		return p, &codeError{exitPython, err}
	}
	return p, nil
}

// venvDir is the folder to look for .venv and venv in: that of the first app which is given as a path and has one beside it, else the
// current one.
func venvDir(mounts []mount) string {
	for _, m := range mounts {
		if !strings.ContainsRune(m.app, '/') {
			continue
		}
		dir := filepath.Dir(m.app)
		for _, name := range []string{".venv", "venv"} {
			if _, err := os.Stat(filepath.Join(dir, name, "bin")); err == nil {
				return dir
			}
		}
	}
	return ""
}
