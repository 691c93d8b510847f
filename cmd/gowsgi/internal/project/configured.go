package project

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// configured is the app that gowsgi's own configuration names: "gowsgi serve" here would serve it.
func (f *finder) configured() (*App, error) {
	own, err := f.toml("gowsgi.toml")
	if err != nil {
		return nil, err
	}
	if spec, _ := own["app"].(string); spec != "" {
		return f.named(spec, "gowsgi.toml names it"), nil
	}
	if spec, _ := f.tool("gowsgi")["app"].(string); spec != "" {
		return f.named(spec, "[tool.gowsgi] of pyproject.toml names it"), nil
	}
	f.look("app in gowsgi.toml and in [tool.gowsgi] of pyproject.toml", "not set")
	return nil, nil
}

func (f *finder) toml(name string) (map[string]any, error) {
	data, err := read(filepath.Join(f.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("can't read %s: %w", name, cause(err))
	}
	return config.Decode(data, name)
}

// pyproject is pyproject.toml as far as it can be read: it is not gowsgi's own.
func (f *finder) pyproject() map[string]any {
	tree, err := f.toml("pyproject.toml")
	if err != nil {
		f.warn("%v", err)
	}
	return tree
}

func (f *finder) tool(name string) map[string]any {
	tools, _ := f.pyproject()["tool"].(map[string]any)
	tool, _ := tools[name].(map[string]any)
	return tool
}

var separators = lazyregexp.New(`[-.]+`)

// packages are the packages that pyproject.toml may mean by the project's name.
func (f *finder) packages() (names []string) {
	project, _ := f.pyproject()["project"].(map[string]any)
	for _, table := range []map[string]any{project, f.tool("poetry")} {
		name, _ := table["name"].(string)
		if name = separators().ReplaceAllString(name, "_"); !moduleName().MatchString(name) {
			continue
		}
		if names = append(names, name); name != strings.ToLower(name) {
			names = append(names, strings.ToLower(name))
		}
	}
	return names
}
