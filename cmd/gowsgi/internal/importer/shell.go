package importer

import (
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// shell finds the commands of shell scripts, without executing anything. It remembers variables and the folder.
type shell struct {
	path string
	o    *Options
	dir  string
	vars map[string]string
	own  []string // NAME=VALUE that were set for what is started, in their order
}

func newShell(path string, o *Options) *shell {
	return &shell{path: path, o: o, vars: map[string]string{}}
}

// set takes NAME=VALUE.
func (s *shell) set(kv string) {
	if name, value, ok := strings.Cut(kv, "="); ok {
		s.vars[name] = value
		s.own = append(s.own, kv)
	}
}

// lookup is a variable, "" where it is not set.
func (s *shell) lookup(name string) string {
	if value, ok := s.vars[name]; ok {
		return value
	}
	value, _ := s.o.env(name)
	return value
}

// words are the words of a text, with variables put in.
func (s *shell) words(text string) []string {
	tree, err := syntax.NewParser().Parse(strings.NewReader("x "+text), "")
	if err != nil || len(tree.Stmts) == 0 {
		return strings.Fields(text)
	}
	if call, ok := tree.Stmts[0].Cmd.(*syntax.CallExpr); ok {
		return s.expand(call.Args)[1:]
	}
	return nil
}

// commands are the servers that a script starts. line is where it begins.
func (s *shell) commands(text string, line int) []*command {
	tree, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil {
		return nil
	}
	var all []*command
	syntax.Walk(tree, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.DeclClause: // export NAME=VALUE
			for _, a := range n.Args {
				s.assign(a)
			}
		case *syntax.CmdSubst:
			return false
		case *syntax.CallExpr:
			all = append(all, s.call(n, line)...)
		}
		return true
	})
	return all
}

// call is a simple command.
func (s *shell) call(n *syntax.CallExpr, line int) []*command {
	words := s.expand(n.Args)
	if len(words) == 0 {
		for _, a := range n.Assigns {
			s.assign(a)
		}
		return nil
	}
	at := s.place(line, n.Pos().Line())
	switch {
	case words[0] == "cd" && len(words) == 2:
		s.dir = inDir(s.dir, words[1])
		return nil
	case len(words) == 3 && strings.HasSuffix(words[0], "sh") && words[1] == "-c":
		return s.commands(words[2], at.Line)
	}
	c := commandOf(words, at)
	if c == nil {
		return nil
	}
	c.dir = s.dir
	for _, a := range n.Assigns {
		if a.Name != nil && a.Value != nil {
			c.assign(a.Name.Value + "=" + strings.Join(s.expand([]*syntax.Word{a.Value}), " "))
		}
	}
	return []*command{c}
}

func (s *shell) assign(a *syntax.Assign) {
	if a.Name == nil || a.Value == nil {
		return
	}
	s.vars[a.Name.Value] = strings.Join(s.expand([]*syntax.Word{a.Value}), " ")
}

// expand gives words their variables. What is not set stays as ${NAME}; what a command would print is ${(command)}.
func (s *shell) expand(words []*syntax.Word) []string {
	var all []string
	for _, word := range words {
		if contains([]string{`"$@"`, `$@`, `$*`, `"$*"`}, source(word)) { // the script's own arguments
			continue
		}
		s.keepUnset(word)
		fields, err := expand.Fields(&expand.Config{Env: expand.FuncEnviron(s.lookup)}, word)
		if err != nil {
			fields = []string{"${" + source(word) + "}"}
		}
		all = append(all, fields...)
	}
	return all
}

// keepUnset has parts of a word that can't be known stand for themselves.
func (s *shell) keepUnset(word *syntax.Word) {
	replace := func(parts []syntax.WordPart) {
		for i, part := range parts {
			literal := ""
			switch p := part.(type) {
			case *syntax.ParamExp:
				name := p.Param.Value
				if name == "@" || name == "*" || p.Exp != nil && p.Exp.Word != nil && s.lookup(name) == "" && p.Exp.Op != syntax.ErrorUnset && p.Exp.Op != syntax.ErrorUnsetOrNull {
					continue
				}
				if s.lookup(name) != "" {
					continue
				}
				literal = "${" + name + "}"
			case *syntax.CmdSubst:
				if literal = s.cpus(source(p)); literal == "" {
					literal = "${" + strings.TrimPrefix(source(p), "$") + "}"
				}
			default:
				continue
			}
			parts[i] = &syntax.SglQuoted{Value: literal}
		}
	}
	replace(word.Parts)
	for _, part := range word.Parts {
		if quoted, ok := part.(*syntax.DblQuoted); ok {
			replace(quoted.Parts)
			for i, inner := range quoted.Parts {
				if single, ok := inner.(*syntax.SglQuoted); ok { // its quotes would be text there
					quoted.Parts[i] = &syntax.Lit{Value: strings.ReplaceAll(single.Value, "$", `\$`)}
				}
			}
		}
	}
}

// source is a node as the script has it.
func source(node syntax.Node) string {
	var b strings.Builder
	if err := syntax.NewPrinter().Print(&b, node); err != nil {
		return "..."
	}
	return b.String()
}
