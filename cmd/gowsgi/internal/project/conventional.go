package project

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// conventional is the app in the files that are called as the field calls them.
func (f *finder) conventional() (*App, error) {
	packages := f.packages()
	modules := append([]string{"wsgi", "app", "main"}, packages...)
	modules = append(modules, "application")
	var there []string
	for _, root := range f.roots() {
		for _, module := range modules {
			if app, err := f.module(root, module); app != nil || err != nil {
				return app, err
			}
			if path := resolve(root, module); path != "" {
				there = append(there, f.relative(path))
			}
		}
	}
	found := "none is there"
	if len(there) > 0 {
		found = strings.Join(there, ", ") + " without app, application, a Flask object, create_app() or make_app()"
	}
	f.look(strings.Join(modules, ", ")+" (.py or a package), here and in src", found)
	return nil, nil
}

// roots are the folders that modules of the project may be imported from.
func (f *finder) roots() []string {
	roots := []string{f.dir}
	if src := filepath.Join(f.dir, "src"); isDir(src) {
		roots = append(roots, src)
	}
	return roots
}

// module is the app of one module, or of the modules wsgi and app in a package.
func (f *finder) module(root, module string) (*App, error) {
	names := []string{module}
	if filepath.Base(resolve(root, module)) == "__init__.py" {
		names = append(names, module+".wsgi", module+".app")
	}
	for _, name := range names {
		path := resolve(root, name)
		if path == "" {
			continue
		}
		if app, _, err := f.inFile(root, path); app != nil || err != nil {
			return app, err
		}
	}
	return nil, nil
}

// inFile is the app that one file has, nil where it has none.
func (f *finder) inFile(root, path string) (*App, *choice, error) {
	if root != f.dir && f.isPackage(root, path) {
		root = filepath.Dir(root)
	}
	c, err := f.choose(root, path)
	if c == nil {
		return nil, nil, err
	}
	return &App{
		Spec:      f.spelled(root, path) + ":" + c.expr,
		Framework: f.framework(root, path),
		Dir:       root,
		Why:       fmt.Sprintf("%s has %s", f.relative(path), c.expr),
	}, c, nil
}

// isPackage tells whether a folder is a package itself: the file in it imports others as folder.name.
func (f *finder) isPackage(folder, path string) bool {
	src := f.source(path)
	return isFile(filepath.Join(folder, "__init__.py")) || src != nil && slices.ContainsFunc(src.imports, func(module string) bool {
		return strings.HasPrefix(module, filepath.Base(folder)+".")
	})
}

// notApps are files that import an app at most.
var notApps = lazyregexp.New(`^(?:__init__|setup|conftest|noxfile|fabfile|tasks|test_.*|.*_test|tests)\.py$`)

// others is the app of the only other file or package that has one.
func (f *finder) others() (*App, error) {
	type candidate struct {
		path string
		app  *App
		*choice
	}
	var found []candidate
	for _, root := range f.roots() {
		paths := f.scripts(root)
		for _, folder := range folders(root) {
			if !moduleName().MatchString(filepath.Base(folder)) {
				continue
			}
			for _, name := range []string{"__init__.py", "wsgi.py", "app.py"} {
				if path := filepath.Join(folder, name); isFile(filepath.Join(folder, "__init__.py")) && isFile(path) {
					paths = append(paths, path)
				}
			}
		}
		for _, path := range paths {
			if slices.ContainsFunc(found, func(c candidate) bool { return c.path == path }) {
				continue
			}
			app, c, err := f.inFile(root, path)
			if err != nil {
				return nil, err
			}
			if app != nil {
				found = append(found, candidate{path, app, c})
			}
		}
	}
	f.look("another .py or .wsgi file or package, here and in src", "none with an app")
	if len(found) == 0 {
		return nil, nil
	}
	// Files that import one and the same app are no choice: it is taken from where it is made, or from the package that is in.
	near := func(c candidate) int {
		switch {
		case strings.HasPrefix(c.origin, c.path+":"):
			return len(c.origin)
		case strings.HasPrefix(c.origin, filepath.Dir(c.path)+"/"):
			return len(filepath.Dir(c.path))
		}
		return 0
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return near(b) - near(a) })
	same := !slices.ContainsFunc(found, func(c candidate) bool { return c.origin != found[0].origin })
	if len(found) == 1 || same && near(found[0]) > near(found[1]) {
		return found[0].app, nil
	}
	var names []string
	for _, c := range found {
		names = append(names, c.app.Spec)
	}
	return nil, fmt.Errorf("several apps: %s; name one: gowsgi dev %s", strings.Join(names, ", "), names[0])
}

// scripts are the files in a folder that may hold an app, in the order of their names.
func (f *finder) scripts(dir string) (paths []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		f.warn("can't read the folder %s: %v", dir, cause(err))
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		python := strings.HasSuffix(e.Name(), ".py") && !notApps().MatchString(e.Name())
		if (python || strings.HasSuffix(e.Name(), ".wsgi")) && !strings.HasPrefix(e.Name(), ".") {
			paths = append(paths, path)
		}
	}
	return paths
}
