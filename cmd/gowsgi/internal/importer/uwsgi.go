package importer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// uwsgi reads options in their order, since placeholders and conditions refer to what stands before.
type uwsgi struct {
	r       *Result
	o       Options
	values  map[string]string // the last value of each option, for %(name)
	used    map[string]bool   // names that %(name) refers to: they may be placeholders rather than options
	options []option          // with placeholders put in, without what only steers the reading
	depth   int               // of files that include each other
}

// deepest is how deep files may include each other, and loops be nested.
const deepest = 10

// mostOptions is how many options a configuration may have, loops run through.
const mostOptions = 20000

func newUWSGI(r *Result, o Options) *uwsgi {
	return &uwsgi{r: r, o: o, values: map[string]string{}, used: map[string]bool{}}
}

// readUWSGI reads a file of uWSGI.
func readUWSGI(r *Result, path string, data []byte, o Options) error {
	u := newUWSGI(r, o)
	if err := u.file(path, data, ""); err != nil {
		return err
	}
	u.finish(from{Place: Place{File: path}})
	return nil
}

func (u *uwsgi) file(path string, data []byte, section string) error {
	if u.depth++; u.depth > deepest {
		return unknown("%s: the files include each other without an end", path)
	}
	defer func() { u.depth-- }()
	options, err := parseUWSGI(path, data, section)
	if err != nil {
		return err
	}
	return u.run(options, path, section)
}

// include reads the file of an option such as ini, which may have a section behind a colon.
func (u *uwsgi) include(op option, path, value string) error {
	name, section, _ := strings.Cut(value, ":")
	file := path
	if name != "" {
		file = u.r.near(name, filepath.Dir(path))
	}
	data, err := readAll(file)
	switch {
	case os.IsNotExist(err):
		u.r.note(from{op.Place, op.name}, "%s is not here, so it was not read: import it by itself, and join the results", value)
		return nil
	case err != nil:
		return err
	}
	return u.file(file, data, section)
}

// run reads options, and does what conditions, loops and includes say.
func (u *uwsgi) run(options []option, path, section string) error {
	for i := 0; i < len(options); i++ {
		op := options[i]
		op.raw = op.value
		if len(u.options) > mostOptions {
			return unknown("%s: the loops make more than %d options", path, mostOptions)
		}
		op.name = u.expand(op.name, path, section)
		op.value = u.expand(op.value, path, section)
		at := from{op.Place, op.name}
		switch {
		case strings.HasPrefix(op.name, "if-") || op.name == "ifenv" || op.name == "ifexists" || op.name == "ifdir":
			end := blockEnd(options, i, "if")
			holds, value, why := u.condition(op)
			switch {
			case why != "":
				u.r.note(at, "%s: what stands up to endif was left out", why)
			case holds:
				u.values["_"] = value
				if err := u.nested(options[i+1:end], path, section); err != nil {
					return err
				}
			}
			i = end
		case op.name == "for" || op.name == "for-times" || op.name == "for-glob" || op.name == "for-readline":
			end := blockEnd(options, i, "for")
			items := strings.Fields(op.value)
			if n, err := strconv.Atoi(op.value); op.name == "for-times" && err == nil && n <= 1000 {
				items = nil
				for k := 1; k <= n; k++ {
					items = append(items, strconv.Itoa(k))
				}
			} else if op.name != "for" {
				u.r.note(at, "the loop runs over what is on the server: what stands up to endfor was left out")
				items = nil
			}
			for _, item := range items {
				u.values["_"] = item
				if err := u.nested(options[i+1:end], path, section); err != nil {
					return err
				}
			}
			i = end
		case op.name == "endif" || op.name == "end-if" || op.name == "endfor" || op.name == "end-for":
		case op.name == "set" || op.name == "set-placeholder" || op.name == "set-ph":
			name, value, _ := strings.Cut(op.value, "=")
			u.values[name] = value
		case contains([]string{"ini", "yaml", "yml", "json", "js", "xml", "xmlconfig", "include", "inherit", "config"}, op.name):
			if err := u.include(op, path, op.value); err != nil {
				return err
			}
		default:
			u.values[op.name] = op.value
			u.options = append(u.options, op)
		}
	}
	return nil
}

// nested runs a block.
func (u *uwsgi) nested(options []option, path, section string) error {
	if u.depth++; u.depth > deepest {
		return unknown("%s: the blocks are nested too deep", path)
	}
	defer func() { u.depth-- }()
	return u.run(options, path, section)
}

// blockEnd is where the block that begins at i ends.
func blockEnd(options []option, i int, kind string) int {
	open := 0
	for ; i < len(options); i++ {
		switch name := options[i].name; {
		case strings.HasPrefix(name, kind) && !strings.Contains(name, "="):
			open++
		case name == "end"+kind || name == "end-"+kind:
			if open--; open == 0 {
				return i
			}
		}
	}
	return len(options)
}

// condition says whether one holds, with the value of %(_), or why that is not known.
func (u *uwsgi) condition(op option) (holds bool, value, why string) {
	name, not := strings.CutPrefix(strings.TrimPrefix(op.name, "if"), "-not-")
	name = strings.TrimPrefix(name, "-")
	arg, wanted, equals := strings.Cut(op.value, "=")
	switch name {
	case "env":
		var ok bool
		value, ok = u.o.env(arg)
		if ok && equals {
			ok = value == wanted
		}
		if !ok && !not {
			return false, "", fmt.Sprintf("$%s is not so here", op.value)
		}
		return ok != not, value, ""
	case "opt":
		value, ok := u.values[arg]
		if ok && equals {
			ok = value == wanted
		}
		return ok != not, value, ""
	case "plugin":
		return strings.HasPrefix(arg, "python") != not, arg, ""
	case "reload":
		return not, "", ""
	}
	return false, "", "it asks for what is on the server"
}

var (
	placeholder = lazyregexp.New(`%\(([^)]*)\)|%([a-zA-Z0-9%])`)
	external    = lazyregexp.New(`\$\(([^)]*)\)|@\(([^)]*)\)`)
)

// expand puts in placeholders, magic variables, variables of the environment and files. What is not known stays, as ${NAME}.
func (u *uwsgi) expand(text, path, section string) string {
	whole, err := filepath.Abs(path)
	if err != nil {
		whole = path
	}
	text = placeholder().ReplaceAllStringFunc(text, func(match string) string {
		m := placeholder().FindStringSubmatch(match)
		if m[2] != "" {
			return u.magic(m[2], whole, section, match)
		}
		if value, ok := u.values[m[1]]; ok {
			u.used[m[1]] = true
			return value
		}
		if value, ok := u.arithmetic(m[1]); ok {
			return value
		}
		return match
	})
	return external().ReplaceAllStringFunc(text, func(match string) string {
		m := external().FindStringSubmatch(match)
		if name := m[1]; name != "" {
			if value, ok := u.o.env(name); ok {
				return value
			}
			return "${" + name + "}"
		}
		data, err := readAll(u.r.near(m[2], filepath.Dir(path)))
		if err != nil {
			return "${(" + m[2] + ")}"
		}
		return strings.TrimSpace(string(data))
	})
}

// magic are the variables of one letter: core/uwsgi.c, uwsgi_configure.
func (u *uwsgi) magic(letter, path, section, match string) string {
	name, dir := filepath.Base(path), filepath.Dir(path)
	switch letter {
	case "%":
		return "%"
	case "d", "D":
		return strings.TrimSuffix(dir, "/") + "/"
	case "p", "P", "o", "O":
		return path
	case "s", "S":
		return name
	case "n", "N":
		return strings.TrimSuffix(name, filepath.Ext(name))
	case "e", "E":
		return strings.TrimPrefix(filepath.Ext(name), ".")
	case "c", "C":
		return filepath.Base(dir)
	case "x", "X":
		return section
	case "k":
		return strconv.Itoa(u.o.CPUs)
	}
	if i, err := strconv.Atoi(letter); err == nil {
		if parts := strings.Split(strings.Trim(dir, "/"), "/"); i < len(parts) {
			return parts[i]
		}
		return ""
	}
	return match
}

var sum = lazyregexp.New(`^\s*(\S+)\s*([-+*/])\s*(\S+)\s*$`)

// arithmetic computes %(a + 1).
func (u *uwsgi) arithmetic(text string) (string, bool) {
	m := sum().FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	var n [2]int
	for i, operand := range []string{m[1], m[3]} {
		if value, ok := u.values[operand]; ok {
			u.used[operand] = true
			operand = value
		}
		var err error
		if n[i], err = strconv.Atoi(operand); err != nil {
			return "", false
		}
	}
	switch {
	case m[2] == "+":
		n[0] += n[1]
	case m[2] == "-":
		n[0] -= n[1]
	case m[2] == "*":
		n[0] *= n[1]
	case n[1] == 0:
		return "", false
	default:
		n[0] /= n[1]
	}
	return strconv.Itoa(n[0]), true
}

// isTrue is how uWSGI reads a switch: core/uwsgi.c, uwsgi_opt_true.
func isTrue(value string) bool {
	return !slices.Contains([]string{"false", "off", "no", "0"}, strings.ToLower(value))
}
