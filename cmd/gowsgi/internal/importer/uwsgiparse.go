package importer

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// option is an option of uWSGI as it stands in a file or a command.
type option struct {
	name, value string
	Place
	raw string // the value before placeholders were put in
}

// parseUWSGI reads the options of one section, in their order: those of [uwsgi] where section is "".
func parseUWSGI(path string, data []byte, section string) ([]option, error) {
	if section == "" {
		section = "uwsgi"
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml", ".json", ".js":
		return parseYAML(path, data, section)
	case ".xml":
		return parseXML(path, data)
	}
	switch start := bytes.TrimSpace(data); {
	case bytes.HasPrefix(start, []byte("{")), bytes.HasPrefix(start, []byte("uwsgi:")):
		return parseYAML(path, data, section)
	case bytes.HasPrefix(start, []byte("<")):
		return parseXML(path, data)
	}
	return parseINI(path, data, section)
}

// parseINI reads lines as uWSGI's core/ini.c does: comments are whole lines, and a key without = has an empty value.
func parseINI(path string, data []byte, section string) ([]option, error) {
	var all []option
	in, found, number := "", false, 0
	for line := range bytes.Lines(data) {
		number++
		switch text := strings.TrimSpace(string(line)); {
		case text == "" || text[0] == ';' || text[0] == '#':
		case text[0] == '[':
			in = strings.TrimSuffix(text[1:], "]")
			found = found || in == section
		case in == section:
			name, value, _ := strings.Cut(text, "=")
			all = append(all, option{strings.TrimSpace(name), strings.TrimSpace(value), Place{path, number}, ""})
		}
	}
	if !found {
		return nil, unknown("%s has no section [%s]", path, section)
	}
	return all, nil
}

// parseYAML reads YAML, and JSON, which is a part of it. A list is an option that is repeated.
func parseYAML(path string, data []byte, section string) ([]option, error) {
	var tree yaml.Node
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return nil, unknown("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(tree.Content) == 0 || tree.Content[0].Kind != yaml.MappingNode {
		return nil, unknown("%s has no section %s", path, section)
	}
	var all []option
	add := func(name string, n *yaml.Node) {
		value := n.Value
		if n.Tag == "!!null" {
			value = ""
		}
		all = append(all, option{name, value, Place{path, n.Line}, ""})
	}
	top := tree.Content[0].Content
	for i := 0; i+1 < len(top); i += 2 {
		if top[i].Value != section || top[i+1].Kind != yaml.MappingNode {
			continue
		}
		pairs := top[i+1].Content
		for j := 0; j+1 < len(pairs); j += 2 {
			switch value := pairs[j+1]; value.Kind {
			case yaml.ScalarNode:
				add(pairs[j].Value, value)
			case yaml.SequenceNode:
				for _, item := range value.Content {
					add(pairs[j].Value, item)
				}
			}
		}
		return all, nil
	}
	return nil, unknown("%s has no section %s", path, section)
}

// parseXML reads the elements inside of <uwsgi>.
func parseXML(path string, data []byte) ([]option, error) {
	var all []option
	d := xml.NewDecoder(bytes.NewReader(data))
	inside := false
	for {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && inside:
			return all, nil
		case errors.Is(err, io.EOF):
			return nil, unknown("%s has no element <uwsgi>", path)
		case err != nil:
			return nil, unknown("%s: %s", path, err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if !inside {
			inside = start.Name.Local == "uwsgi"
			continue
		}
		line, _ := d.InputPos()
		var value string
		if err := d.DecodeElement(&value, &start); err != nil {
			return nil, unknown("%s: %s", path, err)
		}
		all = append(all, option{start.Name.Local, strings.TrimSpace(value), Place{path, line}, ""})
	}
}
