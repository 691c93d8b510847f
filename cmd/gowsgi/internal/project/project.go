// Package project finds the WSGI app that a folder holds, as "manage.py runserver" and "flask run" do. It reads files and runs no Python: an
// app is found where its code is broken at the moment, or its packages are not installed.
package project

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// App is a WSGI app and how to import it.
type App struct {
	// Spec names the callable as "gowsgi serve" takes it: module:callable, module:factory(), or a file for module. A factory that FLASK_APP
	// calls with arguments keeps them.
	Spec string
	// Framework is "Django", "Flask", or "" for another one or where that can't be told.
	Framework string
	// Dir is the absolute folder that is to be first on sys.path, and which files in Spec are relative to.
	Dir string
	// Env are variables to set: DJANGO_SETTINGS_MODULE as in manage.py, and for anything but Django what .flaskenv and .env have. Those that
	// the environment has (not empty) are left out.
	Env map[string]string
	// Why is one line that says what led to the app.
	Why string
	// Warnings are files that could not be read, or lines of them; none of these kept the app from being found.
	Warnings []string
}

// String is the app's name with its framework, for people.
func (a *App) String() string {
	if a.Framework == "" {
		return a.Spec
	}
	return a.Spec + " (" + a.Framework + ")"
}

// finder is one search. What it has found nothing in is listed for the error.
type finder struct {
	dir          string
	env          func(string) string
	dotenv       map[string]string // of .flaskenv and .env
	dotenvNaming string            // which of the two has FLASK_APP
	sources      map[string]*source
	answers      map[question]string
	looked       []string // places and what they held
	misses       []string // what looked like an app and is none
	warnings     []string
}

func open(dir string, env func(string) string) (*finder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f := &finder{dir: dir, env: env, sources: map[string]*source{}, answers: map[question]string{}}
	f.readDotenv()
	return f, nil
}

// Find finds the app of the project in dir. env looks a variable up, "" for one that is not set. In this order: app in gowsgi.toml and
// [tool.gowsgi] of pyproject.toml; Django by manage.py here; FLASK_APP; Django by the manage.py of one sub-folder; wsgi.py, app.py, main.py,
// the package that pyproject.toml names and application.py, here and in src; the only other file or package with an app. The error lists what
// was looked for, or the apps among which there is no choice, and how to name one. It may be called by any goroutine.
func Find(dir string, env func(string) string) (*App, error) {
	f, err := open(dir, env)
	if err != nil {
		return nil, err
	}
	for _, look := range []func() (*App, error){f.configured, f.djangoHere, f.flaskApp, f.djangoBelow, f.conventional, f.others} {
		app, err := look()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.dir, err)
		}
		if app != nil {
			return f.complete(app), nil
		}
	}
	return nil, f.nothing()
}

// Named is the app that spec names, relative to dir: its framework and its variables are found as Find does. Whether it is there is not
// looked at. It may be called by any goroutine.
func Named(dir, spec string, env func(string) string) (*App, error) {
	f, err := open(dir, env)
	if err != nil {
		return nil, err
	}
	return f.complete(f.named(spec, "named on the command line")), nil
}

func (f *finder) named(spec, why string) *App {
	app := &App{Spec: spec, Dir: f.dir, Why: why}
	target, _ := splitSpec(spec)
	root, path := f.dir, filepath.Join(f.dir, target)
	if filepath.IsAbs(target) {
		path = target
	}
	if (strings.HasSuffix(target, ".py") || strings.HasSuffix(target, ".wsgi")) && isFile(path) {
		root = filepath.Dir(path)
	} else {
		path = resolve(f.dir, target)
	}
	if app.Framework = f.framework(root, path); app.Framework == "" && strings.HasPrefix(target, "django.") {
		app.Framework = "Django"
	}
	if app.Framework == "Django" {
		// The default in wsgi.py is often the settings for production.
		if settings, err := f.managedSettings(f.dir); err == nil && settings != "" {
			app.Env = map[string]string{settingsVariable: settings}
		}
	}
	return app
}

// splitSpec splits an app's name at the colon before its callable, which may have arguments with colons.
func splitSpec(spec string) (target, callable string) {
	head, arguments, called := strings.Cut(spec, "(")
	if i := strings.LastIndexByte(head, ':'); i >= 0 {
		target, callable = head[:i], head[i+1:]
		if called {
			callable += "(" + arguments
		}
		return target, callable
	}
	return spec, ""
}

func (f *finder) complete(app *App) *App {
	if app.Framework != "Django" {
		app.Env = maps.Clone(f.dotenv)
	}
	maps.DeleteFunc(app.Env, func(name, _ string) bool { return f.env(name) != "" })
	app.Warnings = f.warnings
	return app
}

func (f *finder) look(place, found string) { f.looked = append(f.looked, place+": "+found) }

func (f *finder) miss(format string, a ...any) {
	if text := fmt.Sprintf(format, a...); !slices.Contains(f.misses, text) {
		f.misses = append(f.misses, text)
	}
}

// nothing is the error of a folder without an app.
func (f *finder) nothing() error {
	var b strings.Builder
	fmt.Fprintf(&b, "no app found in %s; looked for:", f.dir)
	for _, line := range f.looked {
		b.WriteString("\n  " + line)
	}
	for _, line := range append(f.misses, f.warnings...) {
		b.WriteString("\n  but " + line)
	}
	b.WriteString("\nName it: gowsgi dev module:callable, or app = \"module:callable\" in gowsgi.toml")
	return fmt.Errorf("%s", b.String())
}
