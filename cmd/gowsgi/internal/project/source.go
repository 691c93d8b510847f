package project

import (
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// source is what a Python file binds at its top level, in order, and all that it imports.
type source struct {
	statements []statement // all of them
	bindings   []binding
	last       map[string]binding // of each name; that of "" is an import of all names
	imports    []string           // modules, also those that functions import; relative ones begin with dots
}

type bindingKind int

const (
	_ bindingKind = iota
	assigned
	function
	class
	importedName   // from module import attribute as name
	importedModule // import module as name
	importedAll    // from module import *
)

// binding is one name that gets a value.
type binding struct {
	kind      bindingKind
	name      string
	value     string // assigned: the expression as in statement.code; "" for a part of a tuple
	raw       string // and as in the file
	required  int    // function: parameters without a default
	variadic  bool   // function: it has *args
	async     bool   // function
	decorated bool   // function
	module    string // where it is imported from
	attribute string // and under which name
}

const identifier = `[\pL_][\pL\pN_]*`

var (
	blockStart   = lazyregexp.New(`^(?:async\s+)?(def|class|if|elif|else|try|except|finally|for|while|with|match|case)\b`)
	hiddenIf     = lazyregexp.New(`^if\s*\(?\s*(?:__name__\b|(?:typing\.|t\.)?TYPE_CHECKING\b)`)
	definition   = lazyregexp.New(`^(async\s+)?def\s+(` + identifier + `)\s*\(`)
	classStart   = lazyregexp.New(`^class\s+(` + identifier + `)`)
	fromImport   = lazyregexp.New(`^from\s+([.\s]*(?:` + identifier + `(?:\.` + identifier + `)*)?)\s*import\b\s*(.*)$`)
	plainImport  = lazyregexp.New(`^import\s+(.*)$`)
	importedItem = lazyregexp.New(`^([\pL\pN_.]+)(?:\s+as\s+(` + identifier + `))?$`)
	assignment   = lazyregexp.New(`^(` + identifier + `(?:\s*,\s*` + identifier + `)*)\s*(?::[^=]*)?=(?:[^=]|$)`)
)

func parseSource(data []byte) *source {
	s := &source{statements: statements(data), last: map[string]binding{}}
	// blocks are those that the statement is in. What is hidden is not done when the module is imported.
	type block struct {
		indent int
		hidden bool
	}
	var blocks []block
	decorated := false
	for _, st := range s.statements {
		for len(blocks) > 0 && blocks[len(blocks)-1].indent >= st.indent {
			blocks = blocks[:len(blocks)-1]
		}
		hidden := len(blocks) > 0 && blocks[len(blocks)-1].hidden
		start := blockStart().FindStringSubmatch(st.code)
		define := start != nil && (start[1] == "def" || start[1] == "class")
		if start != nil {
			blocks = append(blocks, block{st.indent, hidden || define || hiddenIf().MatchString(st.code)})
		}
		if start != nil && !define {
			// try: import settings
			_, body, _ := cutTop(st.code, ':')
			hidden = hidden || hiddenIf().MatchString(st.code)
			st.code, st.raw = body, st.raw[len(st.raw)-len(body):]
			lead := len(body) - len(strings.TrimLeft(body, " \t"))
			st.code, st.raw = st.code[lead:], st.raw[lead:]
		}
		s.bind(st, hidden, decorated)
		decorated = strings.HasPrefix(st.code, "@")
	}
	return s
}

func (s *source) bind(st statement, hidden, decorated bool) {
	var found []binding
	if m := definition().FindStringSubmatch(st.code); m != nil {
		b := binding{kind: function, name: m[2], async: m[1] != "", decorated: decorated}
		b.required, b.variadic = parameters(st.code[len(m[0]):])
		found = []binding{b}
	} else if m := classStart().FindStringSubmatch(st.code); m != nil {
		found = []binding{{kind: class, name: m[1]}}
	} else if m := fromImport().FindStringSubmatch(st.code); m != nil {
		found = s.from(strings.Join(strings.Fields(m[1]), ""), m[2])
	} else if m := plainImport().FindStringSubmatch(st.code); m != nil {
		found = s.plain(m[1])
	} else {
		found = assignments(st)
	}
	if hidden {
		return
	}
	s.bindings = append(s.bindings, found...)
	for _, b := range found {
		s.last[b.name] = b
	}
}

// parameters counts those that a call must give, from what follows the opening bracket.
func parameters(code string) (required int, variadic bool) {
	list, _, _ := cutTop(code, ')')
	for list != "" {
		var one string
		one, list, _ = cutTop(list, ',')
		one = strings.TrimSpace(one)
		switch _, _, optional := cutTop(one, '='); {
		case one == "" || one == "*" || one == "/" || optional:
		case strings.HasPrefix(one, "*"):
			variadic = variadic || !strings.HasPrefix(one, "**")
		default:
			required++
		}
	}
	return required, variadic
}

func (s *source) from(module, names string) (found []binding) {
	s.imports = append(s.imports, module)
	for item := range strings.SplitSeq(strings.Trim(names, "() \t"), ",") {
		item = strings.TrimSpace(item)
		if item == "*" {
			found = append(found, binding{kind: importedAll, module: module})
		} else if m := importedItem().FindStringSubmatch(item); m != nil {
			name := m[2]
			if name == "" {
				name = m[1]
			}
			found = append(found, binding{kind: importedName, name: name, module: module, attribute: m[1]})
			// It may be a module.
			if strings.HasSuffix(module, ".") {
				s.imports = append(s.imports, module+m[1])
			} else {
				s.imports = append(s.imports, module+"."+m[1])
			}
		}
	}
	return found
}

func (s *source) plain(names string) (found []binding) {
	for item := range strings.SplitSeq(names, ",") {
		if m := importedItem().FindStringSubmatch(strings.TrimSpace(item)); m != nil {
			s.imports = append(s.imports, m[1])
			name := m[2]
			if name == "" {
				name, _, _ = strings.Cut(m[1], ".")
			}
			found = append(found, binding{kind: importedModule, name: name, module: m[1]})
		}
	}
	return found
}

// assignments are those of a statement such as app = application = Flask(__name__).
func assignments(st statement) (found []binding) {
	var targets []string
	tuple := false
	rest := st.code
	for {
		m := assignment().FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		names := strings.Split(rest[m[2]:m[3]], ",")
		tuple = tuple || len(names) > 1
		for _, name := range names {
			targets = append(targets, strings.TrimSpace(name))
		}
		rest = rest[m[3]:]
		rest = strings.TrimLeft(rest[strings.IndexByte(rest, '=')+1:], " \t")
	}
	for _, name := range targets {
		b := binding{kind: assigned, name: name}
		if !tuple {
			b.value, b.raw = rest, st.raw[len(st.raw)-len(rest):]
		}
		found = append(found, b)
	}
	return found
}
