package importer

import (
	"path/filepath"
	"slices"
	"strings"
)

// command is a command line that starts a server.
type command struct {
	kind    Kind
	words   []string // the program and its arguments; ${NAME} for a variable that is not set here
	wrapper string   // what must stay in front of the program
	venv    string   // of the program, "" for none
	dir     string   // that it is started in, "" where nothing says
	environ []string // further variables, NAME=VALUE
	inline  []string // the names of those that stand in front of the program
	notes   []Note
	at      Place
}

// wrappers are programs that start another one, and how many of their own arguments stand between.
var wrappers = map[string]int{
	"exec": 0, "env": 0, "nohup": 0, "command": 0, "time": 0, "nice": 0, "sudo": 0, "dumb-init": 0, "tini": 0, "catchsegv": 0,
	"poetry": 1, "pipenv": 1, "uv": 1, "pdm": 1, "hatch": 1, "gosu": 1, "su-exec": 1, "setuidgid": 1, "chpst": 0,
}

// agents are wrappers that load something into the Python process.
var agents = map[string]int{"newrelic-admin": 1, "ddtrace-run": 0, "opentelemetry-instrument": 0, "scout-apm": 0}

// programKind is the server that a program's path names, "" for none.
func programKind(path string) Kind {
	switch name := filepath.Base(path); {
	case name == "gunicorn", name == "gunicorn3", name == "gunicorn_django":
		return Gunicorn
	case name == "uwsgi", name == "pyuwsgi", strings.HasPrefix(name, "uwsgi_python"), strings.HasPrefix(name, "uwsgi-python"):
		return UWSGI
	case strings.HasPrefix(name, "mod_wsgi-express"):
		return Express
	}
	return ""
}

// commandOf is the server that a command starts, nil for none.
func commandOf(words []string, at Place) *command {
	c := &command{at: at}
	for i := 0; i < len(words); i++ {
		word := words[i]
		base := filepath.Base(word)
		own, wraps := wrappers[base]
		agent, isAgent := agents[base]
		switch {
		case programKind(word) != "":
			c.kind, c.words = programKind(word), words[i:]
			if c.venv == "" {
				c.venv = venvOf(word)
			}
			return c
		case wraps:
			i += own
		case isAgent:
			c.wrapper = strings.Join(words[i:min(i+1+agent, len(words))], " ")
			i += agent
		case strings.HasPrefix(base, "python") && i+2 < len(words) && words[i+1] == "-m":
			c.venv = venvOf(word)
			i++
		case i > 0 && (word == "-u" || word == "-g"):
			i++
		case i > 0 && strings.HasPrefix(word, "-"):
		case isAssignment(word):
			c.assign(word)
		default:
			return nil
		}
	}
	return nil
}

// assign takes NAME=VALUE in front of the program.
func (c *command) assign(word string) {
	name, _, _ := strings.Cut(word, "=")
	c.inline = append(c.inline, name)
	c.environ = append(c.environ, word)
}

func isAssignment(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	return ok && name != "" && !strings.ContainsAny(name, "-/:. ")
}

// read makes gowsgi's settings of a command.
func (c *command) read(r *Result, o Options) error {
	o.Environ = append(slices.Clone(o.Environ), c.environ...)
	for _, n := range c.notes {
		r.note(from{n.Place, n.Directive}, "%s", n.Why)
	}
	here := from{c.at, filepath.Base(c.words[0])}
	if c.wrapper != "" {
		r.note(from{c.at, c.wrapper}, "it stays in front of the new command: %s gowsgi serve", c.wrapper)
	}
	if len(c.inline) > 0 {
		r.note(here, "the variables %s stay in front of the new command", strings.Join(c.inline, ", "))
	}
	if c.dir != "" && !r.later("chdir", c.dir, here) {
		r.set("chdir", c.dir, here)
	}
	if c.venv != "" {
		c.venv = inDir(c.dir, c.venv)
	}
	if c.venv != "" && !r.later("python", c.venv, here) {
		r.set("python", c.venv, here)
	}
	switch c.kind {
	case Gunicorn:
		if extra, ok := o.env("GUNICORN_CMD_ARGS"); ok {
			return readGunicornCommand(r, append(strings.Fields(extra), c.words[1:]...), c.at, c.dir, o)
		}
		return readGunicornCommand(r, c.words[1:], c.at, c.dir, o)
	case UWSGI:
		return readUWSGICommand(r, c.words[1:], c.at, c.dir, o)
	}
	return readExpress(r, c.words[1:], c.at)
}

func contains(all []string, text string) bool { return slices.Contains(all, text) }
