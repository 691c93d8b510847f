package importer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// directive is a line of an Apache configuration, with the sections that it stands in.
type directive struct {
	name     string // in lower case
	args     []string
	sections []section // outermost first
	Place
}

// section is <NAME ARGS>.
type section struct {
	name string // in lower case
	args []string
	Place
}

// in is the innermost section of a name.
func (d *directive) in(name string) (section, bool) {
	for i := len(d.sections) - 1; i >= 0; i-- {
		if d.sections[i].name == name {
			return d.sections[i], true
		}
	}
	return section{}, false
}

// apacheFile reads files and those that they include.
type apacheFile struct {
	r          *Result
	o          Options
	defined    map[string]string
	directives []directive
	depth      int
}

var variable = lazyregexp.New(`\$\{([^}:]+)\}`)

// read reads one file. sections are those that its Include stands in.
func (f *apacheFile) read(path string, data []byte, outer []section) error {
	if f.depth++; f.depth > deepest {
		return unknown("%s: the files include each other without an end", path)
	}
	defer func() { f.depth-- }()
	sections := append([]section{}, outer...)
	for _, l := range apacheLines(data) {
		at := Place{path, l.line}
		text := f.expand(strings.TrimSpace(l.text))
		if text == "" || text[0] == '#' {
			continue
		}
		if strings.HasPrefix(text, "</") {
			name := strings.ToLower(strings.TrimSpace(strings.TrimSuffix(text[2:], ">")))
			if len(sections) == len(outer) || sections[len(sections)-1].name != name {
				return unknown("%s: </%s> has no <%s> before it", at, name, name)
			}
			sections = sections[:len(sections)-1]
			continue
		}
		if strings.HasPrefix(text, "<") {
			words, err := apacheWords(strings.TrimSuffix(strings.TrimSpace(text[1:]), ">"))
			if err != nil || len(words) == 0 {
				return unknown("%s: %s can't be read: %v", at, printable(text), err)
			}
			sections = append(sections, section{strings.ToLower(words[0]), words[1:], at})
			continue
		}
		words, err := apacheWords(text)
		if err != nil {
			return unknown("%s: %s", at, err)
		}
		d := directive{strings.ToLower(words[0]), words[1:], append([]section{}, sections...), at}
		if err := f.take(d, path); err != nil {
			return err
		}
	}
	if len(sections) > len(outer) {
		last := sections[len(sections)-1]
		return unknown("%s: <%s> is not closed", last.Place, last.name)
	}
	return nil
}

// take keeps a directive, unless it is one of those that steer the reading.
func (f *apacheFile) take(d directive, path string) error {
	at := from{d.Place, d.name}
	switch {
	case f.skipped(d):
	case d.name == "define" && len(d.args) > 0:
		f.defined[d.args[0]] = strings.Join(d.args[1:], " ")
	case d.name == "undefine" && len(d.args) > 0:
		delete(f.defined, d.args[0])
	case d.name == "include" || d.name == "includeoptional":
		if len(d.args) == 0 {
			return nil
		}
		return f.include(d, path, at)
	default:
		f.directives = append(f.directives, d)
	}
	return nil
}

// skipped says whether a directive stands where it does not hold: of modules all are taken to be there, of versions the newest.
func (f *apacheFile) skipped(d directive) bool {
	for _, s := range d.sections {
		if len(s.args) == 0 {
			continue
		}
		switch arg, not := strings.CutPrefix(s.args[0], "!"); s.name {
		case "ifmodule":
			if not {
				return true
			}
		case "ifdefine":
			if _, ok := f.defined[arg]; ok == not {
				return true
			}
		case "ifversion":
			if strings.HasPrefix(arg, "<") || not {
				return true
			}
		}
	}
	return false
}

// include reads the files that a pattern names: those that are here.
func (f *apacheFile) include(d directive, path string, at from) error {
	pattern := d.args[0]
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(path), pattern)
	}
	if info, err := os.Stat(pattern); err == nil && info.IsDir() {
		pattern = filepath.Join(pattern, "*")
	}
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		if d.name == "include" {
			f.r.note(at, "%s is not here, so it was not read: import it by itself, and join the results", d.args[0])
		}
		return nil
	}
	for _, file := range found {
		data, err := readAll(file)
		if err != nil {
			return err
		}
		if err := f.read(file, data, d.sections); err != nil {
			return err
		}
	}
	return nil
}

// expand puts in what Define says, and variables of the environment. Others stay.
func (f *apacheFile) expand(text string) string {
	return variable().ReplaceAllStringFunc(text, func(match string) string {
		name := match[2 : len(match)-1]
		if value, ok := f.defined[name]; ok {
			return value
		}
		if value, ok := f.o.env(name); ok {
			return value
		}
		return match
	})
}

// apacheLines joins lines that end with a backslash; a comment is joined, too.
func apacheLines(data []byte) []logicalLine {
	var all []logicalLine
	open, number := false, 0
	for line := range strings.Lines(string(data)) {
		number++
		body, goesOn := strings.CutSuffix(strings.TrimRight(line, "\r\n"), `\`)
		if open {
			all[len(all)-1].text += body
		} else {
			all = append(all, logicalLine{body, number})
		}
		open = goesOn
	}
	return all
}

// apacheWords splits a line as Apache does (server/util.c, ap_getword_conf): quotes hold a word together, a backslash takes a quote's meaning.
func apacheWords(text string) ([]string, error) {
	var words []string
	for text = strings.TrimLeft(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		quote := text[0]
		if quote != '"' && quote != '\'' {
			end := strings.IndexAny(text, " \t")
			if end < 0 {
				end = len(text)
			}
			words, text = append(words, text[:end]), text[end:]
			continue
		}
		var word strings.Builder
		i := 1
		for ; i < len(text) && text[i] != quote; i++ {
			if text[i] == '\\' && i+1 < len(text) && (text[i+1] == quote || text[i+1] == '\\') {
				i++
			}
			word.WriteByte(text[i])
		}
		if i >= len(text) {
			return nil, fmt.Errorf("a quote is not closed: %s", printable(text))
		}
		words, text = append(words, word.String()), text[i+1:]
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("there is no directive")
	}
	return words, nil
}
