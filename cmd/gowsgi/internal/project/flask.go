package project

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// flaskApp is the app that FLASK_APP names, read as flask.cli.ScriptInfo.load_app does.
func (f *finder) flaskApp() (*App, error) {
	value, why := strings.TrimSpace(f.env("FLASK_APP")), "FLASK_APP is "
	if value == "" {
		value, why = strings.TrimSpace(f.dotenv["FLASK_APP"]), "FLASK_APP in "+f.dotenvNaming+" is "
	}
	if value == "" {
		f.look("FLASK_APP in the environment, .flaskenv and .env", "not set")
		return nil, nil
	}
	target, name := splitSpec(value)
	root, module, path := f.importPath(target)
	app := &App{Dir: root, Why: why + value, Spec: module, Framework: "Flask"}
	if path == "" && (strings.HasSuffix(target, ".py") || strings.Contains(target, "/")) {
		return nil, fmt.Errorf("%s, and there is no such file", app.Why)
	}
	if name = strings.TrimSpace(name); name != "" {
		app.Spec += ":" + f.called(root, path, name)
		return app, nil
	}
	if path == "" {
		return app, nil
	}
	c, err := f.choose(root, path)
	if c != nil {
		app.Spec += ":" + c.expr
	}
	return app, err
}

// importPath finds the folder for sys.path and the module's name, which flask.cli.prepare_import makes of a path or of a module's name. path
// is the module's file, "" where it is not in the project.
func (f *finder) importPath(target string) (root, module, path string) {
	base := strings.TrimSuffix(target, ".py")
	if !filepath.IsAbs(base) {
		base = filepath.Join(f.dir, base)
	}
	if filepath.Base(base) == "__init__" {
		base = filepath.Dir(base)
	}
	root, module = filepath.Split(base)
	root = filepath.Clean(root)
	for isFile(filepath.Join(root, "__init__.py")) && root != filepath.Dir(root) {
		module = filepath.Base(root) + "." + module
		root = filepath.Dir(root)
	}
	if path = resolve(root, module); path == "" && root == f.dir {
		// A package in src that is installed in the virtualenv.
		if src := filepath.Join(root, "src"); resolve(src, module) != "" {
			return src, module, resolve(src, module)
		}
	}
	return root, module, path
}

var emptyCall = lazyregexp.New(`\s*\(\s*\)$`)

// called is what FLASK_APP has after the colon, with the brackets that a function needs: Flask calls one without them.
func (f *finder) called(root, path, name string) string {
	switch {
	case strings.Contains(name, "("):
		return emptyCall().ReplaceAllString(name, "()")
	case name == "create_app" || name == "make_app":
		return name + "()"
	case f.definedAt(root, path, name) == "":
		return name
	}
	if f.callable(root, path, name) != "" {
		return name
	}
	return name + "()"
}
