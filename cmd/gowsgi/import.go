package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/importer"
	"github.com/gowsgi/gowsgi/pyhost/bundled"
)

// importCmd makes a gowsgi.toml of another server's configuration.
type importCmd struct {
	Source []string      `arg:"" placeholder:"FILE" help:"A configuration (uwsgi.ini, gunicorn.conf.py, a file with Apache's WSGI directives, a systemd unit, a Procfile, a Dockerfile), or a command line behind --: gowsgi import -- gunicorn -w 4 mysite.wsgi"`
	From   importer.Kind `env:"-" enum:",uwsgi,gunicorn,apache,mod_wsgi-express" default:"" placeholder:"SERVER" help:"Whose configuration it is: uwsgi, gunicorn, apache or mod_wsgi-express. Default: found out by its name and text."`
	Output string        `env:"-" short:"o" placeholder:"FILE" help:"Write the result to a file, such as gowsgi.toml. Default: to standard output."`
	Force  bool          `env:"-" help:"Replace the file of --output where there is one."`
}

// Run writes the settings, and lists what has no equivalent in the log.
func (c *importCmd) Run(o *output, line *commandLine) error {
	result, err := c.read()
	switch {
	case err != nil && importer.Unreadable(err):
		return err
	case err != nil:
		return &codeError{exitUsage, err}
	}
	if err := c.write(o, result.TOML()); err != nil {
		return err
	}
	if list := result.List(); list != "" {
		fmt.Fprintf(o.Log, "gowsgi: without an equivalent, or to be decided:\n%s", list)
	}
	return nil
}

func (c *importCmd) read() (*importer.Result, error) {
	options := importer.Options{From: c.From, Environ: os.Environ(), CPUs: runtime.GOMAXPROCS(0), Python: parsingPython}
	if len(c.Source) > 1 {
		return importer.Command(c.Source, options)
	}
	if _, err := os.Stat(c.Source[0]); err != nil {
		if result, commandErr := importer.Command(c.Source, options); commandErr == nil { // a program without arguments
			return result, nil
		}
		return nil, err
	}
	return importer.File(c.Source[0], options)
}

// parsingPython is an interpreter to parse gunicorn.conf.py with.
func parsingPython() (string, error) {
	path, err := exec.LookPath("python3")
	if err == nil || !bundled.Included {
		if err != nil {
			err = errors.New("there is no python3 on PATH; install one, or write the settings as a command line: gowsgi import -- gunicorn -w 4 mysite.wsgi")
		}
		return path, err
	}
	p, err := bundled.Open()
	return p.Executable, err
}

// write never leaves half a file: there is none, or the one before, where it fails.
func (c *importCmd) write(o *output, text string) error {
	if c.Output == "" {
		_, err := fmt.Fprint(o.Out, text)
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(c.Output, flags, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return usageError("%s is there already; --force replaces it, or name another file with --output", c.Output)
	}
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return fmt.Errorf("--output: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	fmt.Fprintf(o.Log, "gowsgi: wrote %s\n", c.Output)
	return nil
}
