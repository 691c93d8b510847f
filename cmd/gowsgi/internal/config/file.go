package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// file is a TOML file as a list of its top-level keys, in their order.
type file struct {
	name    string // as the user knows it
	entries []entry
}

// entry is one key of a file. A table's own keys have lines too.
type entry struct {
	key   string
	value any // what go-toml makes of it
	line  int
	lines map[string]int // of a table's keys
}

// readFile parses a TOML file. Errors say where: "name:line:column: what".
func readFile(path, name string) (*file, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return nil, fmt.Errorf("can't read the configuration %s: %w", name, err)
	}
	return parse(data, name)
}

// Decode reads TOML; an error begins with the name and the place.
func Decode(data []byte, name string) (map[string]any, error) {
	tree := map[string]any{}
	if err := toml.Unmarshal(data, &tree); err != nil {
		var at *toml.DecodeError
		if !errors.As(err, &at) {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		line, column := at.Position()
		return nil, fmt.Errorf("%s:%d:%d: %s", name, line, column, strings.TrimPrefix(at.Error(), "toml: "))
	}
	return tree, nil
}

func parse(data []byte, name string) (*file, error) {
	tree, err := Decode(data, name)
	if err != nil {
		return nil, err
	}
	f := &file{name: name}
	for key, e := range keyLines(data) {
		e.key, e.value = key, tree[key]
		f.entries = append(f.entries, *e)
	}
	slices.SortFunc(f.entries, func(a, b entry) int { return a.line - b.line })
	return f, nil
}

// keyLines finds where the keys are, which go-toml's decoder does not tell. The data has no errors.
func keyLines(data []byte) map[string]*entry {
	entries := map[string]*entry{}
	var p unstable.Parser
	p.Reset(data)
	// add notes where a key is first named. The parts are of one key, outermost first; only two levels have a meaning.
	add := func(table []string, keys unstable.Iterator) []string {
		path := slices.Clone(table)
		for keys.Next() {
			path = append(path, string(keys.Node().Data))
			line := p.Shape(keys.Node().Raw).Start.Line
			switch len(path) {
			case 1:
				if entries[path[0]] == nil {
					entries[path[0]] = &entry{line: line, lines: map[string]int{}}
				}
			case 2:
				if lines := entries[path[0]].lines; lines[path[1]] == 0 {
					lines[path[1]] = line
				}
			}
		}
		return path
	}
	var table []string
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = add(nil, e.Key())
		case unstable.KeyValue:
			path := add(table, e.Key())
			if value := e.Value(); value.Kind == unstable.InlineTable {
				for children := value.Children(); children.Next(); {
					add(path, children.Node().Key())
				}
			}
		}
	}
	return entries
}
