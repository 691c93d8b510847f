package project

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

var (
	// constant is a value that is no callable.
	constant    = lazyregexp.New(`^(?:[rbufRBUF]{0,2}"|[\d\[{]|\(\)|(?:None|True|False)\b)`)
	constructor = lazyregexp.New(`^((?:` + identifier + `\.)*(` + identifier + `))\s*\(`)
	plainName   = lazyregexp.New(`^` + identifier + `$`)
)

// otherObjects are classes whose objects people call app, and which are no WSGI apps.
var otherObjects = map[string]string{
	"FastAPI": "ASGI", "Starlette": "ASGI", "Quart": "ASGI", "Litestar": "ASGI", "Sanic": "ASGI",
	"Celery": "", "Typer": "", "Dash": "", "web.Application": "", "QApplication": "", "Tk": "",
}

// choice is the callable of a module that a server is to take.
type choice struct {
	expr   string // "app", "create_app()"
	origin string // what it is that module imports it from elsewhere: "path:name"
}

// choose finds a module's callable as "flask run" does: app or application, else the only Flask object, else a factory that needs no
// arguments. Of the two names application counts first, as for "gowsgi serve": it is what deployments serve, with all middleware.
func (f *finder) choose(root, path string) (*choice, error) {
	for _, name := range []string{"application", "app"} {
		if origin := f.callable(root, path, name); origin != "" {
			return &choice{name, origin}, nil
		}
	}
	switch objects := f.flaskObjects(root, path); len(objects) {
	case 0:
	case 1:
		return &objects[0], nil
	default:
		var names []string
		for _, o := range objects {
			names = append(names, o.expr)
		}
		return nil, fmt.Errorf("%s has several Flask apps: %s; name one, such as %s:%s", f.relative(path), strings.Join(names, ", "), f.spelled(root, path), names[0])
	}
	for _, name := range []string{"create_app", "make_app"} {
		if origin := f.factory(root, path, name); origin != "" {
			return &choice{name + "()", origin}, nil
		}
	}
	return nil, nil
}

// spelled is a file as the part of an app's name before the colon.
func (f *finder) spelled(root, path string) string {
	relative, err := filepath.Rel(root, path)
	if err != nil {
		return path
	}
	module := strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(relative, ".py"), "/__init__"), "/", ".")
	if strings.HasSuffix(relative, ".py") && moduleName().MatchString(module) {
		return module
	}
	return relative
}

// bound asks of what a module has under a name, the last binding first, until one has an origin.
func (f *finder) bound(q question, origin func(root, path, name string, b binding) string) string {
	return f.ask(q, func(src *source) string {
		for _, b := range slices.Backward(src.bindings) {
			if b.name != q.name && b.kind != importedAll {
				continue
			}
			if o := origin(q.root, q.path, q.name, b); o != "" {
				return o
			}
		}
		return ""
	})
}

// callable is where the WSGI app that a module has under a name comes from, "" where it has none.
func (f *finder) callable(root, path, name string) string {
	return f.bound(question{"callable", root, path, name}, f.callableOf)
}

func (f *finder) callableOf(root, path, name string, b binding) string {
	own := path + ":" + name
	switch b.kind {
	case importedAll:
		file, _ := f.imported(root, path, b.module)
		return f.callable(root, file, name)
	case importedName:
		file, folder := f.imported(root, path, b.module)
		switch src := f.source(file); {
		case src != nil && src.binds(b.attribute):
			return f.callable(root, file, b.attribute)
		case folder != "" && resolve(folder, b.attribute) != "": // a module
			return ""
		}
		return own
	case function:
		// def application(environ, start_response), or what a decorator makes of a function.
		if b.decorated || !b.async && (b.required == 2 || b.required < 2 && b.variadic) {
			return own
		}
		if b.async {
			f.miss("%s in %s is an ASGI app (async def), and gowsgi serves WSGI apps", name, f.relative(path))
		} else {
			f.miss("%s in %s does not take (environ, start_response)", name, f.relative(path))
		}
	case assigned:
		if plainName().MatchString(b.value) && f.source(path).binds(b.value) {
			return f.callable(root, path, b.value)
		}
		if !f.isApp(path, b) {
			return ""
		}
		if m := constructor().FindStringSubmatch(b.value); m != nil && m[1] == m[2] {
			if made := f.definedAt(root, path, m[1]); made != "" {
				return made
			}
		}
		return own
	}
	return ""
}

func (s *source) binds(name string) bool {
	_, ok := s.last[name]
	return ok || s.last[""].kind == importedAll
}

// isApp judges an assigned value by what can be seen of it.
func (f *finder) isApp(path string, b binding) bool {
	if constant().MatchString(b.value) {
		return false
	}
	m := constructor().FindStringSubmatch(b.value)
	if m == nil {
		return true
	}
	kind, other := "", false
	for name, speaks := range otherObjects {
		if m[1] == name || strings.HasSuffix(m[1], "."+name) {
			kind, other = speaks, true
		}
	}
	if slices.Contains(strings.Split(m[1], "."), "asgi") || strings.HasPrefix(m[2], "get_asgi") {
		kind, other = "ASGI", true
	}
	switch {
	case kind != "":
		f.miss("%s in %s is an ASGI app (%s), and gowsgi serves WSGI apps", b.name, f.relative(path), m[1])
	case other:
		f.miss("%s in %s is made by %s, which makes no WSGI app", b.name, f.relative(path), m[1])
	}
	return !other
}

// factory is where the function that a module has under a name is defined, if it can be called without arguments; else "".
func (f *finder) factory(root, path, name string) string {
	return f.bound(question{"factory", root, path, name}, f.factoryOf)
}

func (f *finder) factoryOf(root, path, name string, b binding) string {
	own := path + ":" + name
	switch {
	case b.kind == importedAll:
		file, _ := f.imported(root, path, b.module)
		return f.factory(root, file, name)
	case b.kind == importedName:
		file, folder := f.imported(root, path, b.module)
		if file == "" && (folder == "" || resolve(folder, b.attribute) == "") {
			return own
		}
		return f.factory(root, file, b.attribute)
	case b.kind == assigned && !constant().MatchString(b.value), b.kind == function && !b.async && b.required == 0:
		return own
	case b.kind == function && !b.async:
		f.miss("%s in %s needs arguments: call it in a wsgi.py, application = %s(...)", name, f.relative(path), name)
	}
	return ""
}

// definedAt is where a function of the project is defined, "" for anything else.
func (f *finder) definedAt(root, path, name string) string {
	return f.ask(question{"defined", root, path, name}, func(src *source) string {
		switch b := src.last[name]; b.kind {
		case function:
			return path + ":" + name
		case importedName:
			file, _ := f.imported(root, path, b.module)
			return f.definedAt(root, file, b.attribute)
		}
		return ""
	})
}
