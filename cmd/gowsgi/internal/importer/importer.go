// Package importer reads the configurations of other WSGI servers, of uWSGI, gunicorn, Apache with mod_wsgi and mod_wsgi-express, and says
// what they are in gowsgi's: keys of gowsgi.toml, and what has no equivalent. Nothing that is read is executed.
package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// Kind is a server whose configuration can be read.
type Kind string

// The servers, as --from names them.
const (
	UWSGI    Kind = "uwsgi"
	Gunicorn Kind = "gunicorn"
	Apache   Kind = "apache"
	Express  Kind = "mod_wsgi-express"
)

// Options say what is taken from the machine.
type Options struct {
	From    Kind                   // "" to find out by the name and the text
	Environ []string               // variables that configurations refer to, as os.Environ has them
	CPUs    int                    // what they count as processors
	Python  func() (string, error) // finds an interpreter to parse gunicorn.conf.py with; it does not execute it
}

// env is a variable; the last one counts.
func (o *Options) env(name string) (value string, ok bool) {
	for _, kv := range o.Environ {
		if n, v, _ := strings.Cut(kv, "="); n == name {
			value, ok = v, true
		}
	}
	return value, ok
}

// UnknownError tells that a text is no configuration that can be read.
type UnknownError struct{ text string }

func (e *UnknownError) Error() string { return e.text }

func unknown(format string, args ...any) error { return &UnknownError{fmt.Sprintf(format, args...)} }

// longest is how much of a file is read.
const longest = 4 << 20

// File reads a configuration, or a file with a command line in it: a systemd unit, a Procfile, a Dockerfile or a shell script. Errors are an
// *UnknownError, or of the operating system.
func File(path string, o Options) (*Result, error) {
	data, err := readAll(path)
	if err != nil {
		return nil, err
	}
	r := &Result{Source: path}
	reader, kind := o.reader(path, data)
	if reader == nil {
		return nil, unknown("%s is none of the files that can be imported: looked for [uwsgi] (uwsgi.ini, .yaml, .xml, .json), settings of gunicorn (gunicorn.conf.py), "+
			"WSGI directives (Apache), and a command with gunicorn, uwsgi or mod_wsgi-express (a systemd unit's ExecStart=, a Procfile, a Dockerfile's CMD, a shell script); "+
			"--from says which it is", path)
	}
	r.Kind = kind
	if at := template().FindIndex(data); at != nil && kind != Gunicorn {
		return nil, unknown("%s is a template, with %s in it: import the file that is made of it", Place{path, 1 + bytes.Count(data[:at[0]], []byte("\n"))}, data[at[0]:at[1]])
	}
	if err := reader(r, path, data, o); err != nil {
		return nil, err
	}
	return r, nil
}

// template is what Jinja, Django's templates and cookiecutter replace.
var template = lazyregexp.New(`\{\{[^{}\n]*\}\}|\{%[^%\n]*%\}`)

// readAll reads a file that may be as long as any configuration is.
func readAll(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // to open a FIFO would wait
		return nil, fmt.Errorf("%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, longest+1))
	if err == nil && len(data) > longest {
		err = unknown("%s has more than %d MiB: no configuration does", path, longest>>20)
	}
	return data, err
}

// reader reads one kind of file.
type reader func(r *Result, path string, data []byte, o Options) error

var (
	uwsgiText    = lazyregexp.New(`(?m)^\s*\[uwsgi\]|^\s*["']?uwsgi["']?\s*:|^\s*<uwsgi[\s>]|\{\s*"uwsgi"\s*:`)
	apacheText   = lazyregexp.New(`(?mi)^\s*(WSGI[a-z]+\s|<VirtualHost\b)`)
	gunicornText = lazyregexp.New(`(?m)^(` + strings.Join(gunicornNames(), "|") + `)\s*(:\s*\w+\s*)?=|^def (` + strings.Join(gunicornHookNames(), "|") + `)\(`)
)

// reader finds out what a file is, nil where it is nothing that can be read.
func (o *Options) reader(path string, data []byte) (reader, Kind) {
	name, extension := strings.ToLower(filepath.Base(path)), strings.ToLower(filepath.Ext(path))
	commands := findCommands(path, data, o)
	switch {
	case o.From == UWSGI && len(commands) == 0, o.From == "" && extension != ".py" && uwsgiText().Match(data):
		return readUWSGI, UWSGI
	case o.From == Gunicorn && len(commands) == 0, o.From == "" && extension == ".py" && (strings.Contains(name, "gunicorn") || gunicornText().Match(data)):
		return readGunicorn, Gunicorn
	case o.From == Apache, o.From == "" && extension != ".py" && apacheText().Match(data):
		return readApache, Apache
	}
	for _, c := range commands {
		if o.From == "" || c.kind == o.From {
			return func(r *Result, path string, _ []byte, o Options) error {
				for _, other := range commands {
					if other.at != c.at {
						r.note(from{other.at, filepath.Base(other.words[0])}, "a further command, which is not in this result: import it by itself")
					}
				}
				return c.read(r, o)
			}, c.kind
		}
	}
	return nil, ""
}

// Command reads a command line, which begins with the program or what starts it: gunicorn -w 4 mysite.wsgi. Errors are as those of File.
func Command(args []string, o Options) (*Result, error) {
	c := commandOf(args, Place{File: "command line"})
	switch {
	case c == nil:
		return nil, unknown("%q is neither a file nor a command line with gunicorn, uwsgi or mod_wsgi-express, such as: gowsgi import -- gunicorn -w 4 mysite.wsgi", strings.Join(args, " "))
	case o.From != "" && o.From != c.kind:
		return nil, unknown("the command line is of %s, not of %s", c.kind, o.From)
	}
	r := &Result{Kind: c.kind, Source: "a command line"} // which may have secrets in it
	if err := c.read(r, o); err != nil {
		return nil, err
	}
	return r, nil
}

// Unreadable says whether an error means that a file could not be read, rather than that it is none of those that can be.
func Unreadable(err error) bool {
	var u *UnknownError
	return !errors.As(err, &u)
}
