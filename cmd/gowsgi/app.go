package main

import (
	"os"
	"path/filepath"

	"github.com/gowsgi/gowsgi/gateway"
	"github.com/gowsgi/gowsgi/pyhost"
)

// appFlags say which apps to load, and with which Python.
type appFlags struct {
	App string `arg:"" optional:"" help:"The app: module:callable (callable is application or app where left out), module:factory(), or the path of a .wsgi or .py file."`

	Mount     []mount    `placeholder:"PREFIX=APP" help:"Serve another app under a URL prefix, which becomes its SCRIPT_NAME. Can be repeated; APP then takes all other paths, and can be left out."`
	Chdir     string     `placeholder:"FOLDER" help:"Go to this folder first: it is first on sys.path, and other relative paths start there. Default: the current one."`
	Python    string     `placeholder:"PATH" help:"The Python to load: an executable, a virtualenv's folder, or 'bundled' (in a bundled build). Default: $VIRTUAL_ENV, $CONDA_PREFIX, .venv or venv beside the app, python3 on PATH, the bundled one."`
	PythonArg pythonArgs `placeholder:"OPTION" help:"An option for Python: '-X dev', '-W error', -O, -OO, -B, -u or -E. Can be repeated."`
	Config    string     `placeholder:"FILE" help:"A TOML file with settings: its keys are the names of these flags. Default: gowsgi.toml in the current folder, if it is there."`
}

// pathIn is a path that is relative to a folder; "" is the folder.
func pathIn(dir, path string) string {
	switch {
	case path == "":
		return dir
	case filepath.IsAbs(path):
		return path
	}
	return filepath.Join(dir, path)
}

// enter checks the flags and goes to the app's folder, by its path each time: it may be a link that was changed. base is the folder that
// --chdir is relative to.
func (f *appFlags) enter(base string) (dir string, mounts []mount, err error) {
	if mounts, err = allMounts(f.App, f.Mount); err != nil {
		return "", nil, err
	}
	dir = pathIn(base, f.Chdir)
	if err := os.Chdir(dir); err != nil {
		return "", nil, usageError("--chdir: %w", err)
	}
	return dir, mounts, nil
}

// open finds and starts Python. The options' Python, Args and Dir are filled in.
func (f *appFlags) open(dir string, mounts []mount, o pyhost.Options) (*pyhost.Host, pyhost.Python, error) {
	p, err := discover(f.Python, mounts)
	if err != nil {
		return nil, p, err
	}
	o.Python, o.Args, o.Dir = p, f.PythonArg, dir
	host, err := pyhost.Open(o)
	if err != nil {
		return nil, p, &codeError{exitPython, err}
	}
	return host, p, nil
}

// loadApps imports the apps.
func loadApps(host *pyhost.Host, apps []appSetting) ([]gateway.Mount, error) {
	var loaded []gateway.Mount
	for _, a := range apps {
		app, err := host.Load(a.Spec)
		if err != nil {
			return nil, &codeError{exitApp, err}
		}
		loaded = append(loaded, gateway.Mount{Prefix: a.Prefix, App: app, RequestTimeout: a.RequestTimeout})
	}
	return loaded, nil
}
