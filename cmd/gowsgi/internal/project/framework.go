package project

import (
	"slices"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// flaskObject is one of Flask's class, or of one that is called after it, such as APIFlask; or the Flask app within a Dash app.
var flaskObject = lazyregexp.New(`^(?:(?:` + identifier + `\.)*[\pL\pN_]*Flask\s*\(|` + identifier + `\.server$)`)

// flaskObjects are the module's names for Flask objects, each object once.
func (f *finder) flaskObjects(root, path string) (found []choice) {
	src := f.source(path)
	if src == nil {
		return nil
	}
	for _, b := range src.bindings {
		if origin := f.flaskObject(root, path, b.name); origin != "" &&
			!slices.ContainsFunc(found, func(c choice) bool { return c.origin == origin }) {
			found = append(found, choice{b.name, origin})
		}
	}
	return found
}

func (f *finder) flaskObject(root, path, name string) string {
	return f.ask(question{"flask", root, path, name}, func(src *source) string {
		switch b := src.last[name]; {
		case b.kind == assigned && flaskObject().MatchString(b.value):
			return path + ":" + name
		case b.kind == assigned && plainName().MatchString(b.value):
			return f.flaskObject(root, path, b.value)
		case b.kind == importedName:
			file, _ := f.imported(root, path, b.module)
			return f.flaskObject(root, file, b.attribute)
		}
		return ""
	})
}

// framework is the one that a file imports, or the project's files that it imports.
func (f *finder) framework(root, path string) string {
	seen := map[string]bool{}
	files := []string{path}
	// Four imports away there is no framework but that of another part.
	for range 4 {
		var next []string
		for _, file := range files {
			src := f.source(file)
			if src == nil || seen[file] {
				continue
			}
			seen[file] = true
			for _, module := range src.imports {
				switch top, _, _ := strings.Cut(module, "."); {
				case top == "flask" || strings.HasPrefix(top, "flask_"):
					return "Flask"
				case top == "django":
					return "Django"
				}
				if inner, _ := f.imported(root, file, module); inner != "" {
					next = append(next, inner)
				}
			}
		}
		files = next
	}
	return ""
}
