package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/browser"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devcert"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/project"
)

// devCmd is the development server. Of gowsgi.toml it takes what is about the app; where a server listens in production does not matter here.
type devCmd struct {
	appFlags
	Static  []staticFolder `placeholder:"PREFIX=FOLDER" help:"Serve the files of a folder under a URL prefix, without Python. Can be repeated."`
	Threads int            `default:"16" help:"How many Python threads run the app at most. 1: one request at a time."`

	Host   string `env:"-" default:"127.0.0.1" placeholder:"ADDRESS" help:"The address to listen on. Errors are shown to this machine only. Default: ${default}."`
	Port   int    `env:"-" short:"p" default:"8000" help:"The port to listen on; 0 for any that is free. Default: ${default}."`
	HTTPS  bool   `env:"-" name:"https" help:"Speak HTTPS, with a certificate of an authority that is made for this user."`
	Open   bool   `env:"-" help:"Open the site in the browser."`
	Reload bool   `env:"-" default:"true" negatable:"" help:"Load the code anew when files change (--no-reload: don't)."`
	Inject bool   `env:"-" default:"true" negatable:"" help:"Put a script into pages, which has the browser show what changed (--no-inject: don't)."`
}

// Validate implements kong's interface.
func (c *devCmd) Validate() error {
	switch {
	case c.Threads < 1 || c.Threads > 10000:
		return fmt.Errorf("--threads must be from 1 to 10000")
	case c.Port < 0 || c.Port > 65535:
		return fmt.Errorf("--port must be from 0 to 65535")
	case c.Host == "" || strings.ContainsAny(c.Host, " /"):
		return fmt.Errorf("--host must be an address or a name, such as 127.0.0.1")
	}
	return nil
}

// Run serves until a signal ends it.
func (c *devCmd) Run(o *output, line *commandLine) error {
	d := &devMaster{c: c, line: line, out: o.Log, starting: map[*workerProcess]bool{}, doubted: make(chan struct{}, 1)}
	serve, err := d.serveCmd()
	if err != nil {
		return err
	}
	d.m = &master{c: serve, line: line, dev: d}
	d.terminal = keepTerminal()
	defer d.terminal()
	err = d.m.serve(o.Log)
	var taken inUseError
	if errors.As(err, &taken) {
		return fmt.Errorf("can't listen on %s: another process listens there; stop it or choose another port with --port", string(taken))
	}
	return err
}

// configure reads gowsgi.toml anew.
func (d *devMaster) configure() error {
	p, err := d.line.parse(io.Discard, io.Discard)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.c.appFlags, d.c.Static, d.c.Threads = p.cli.Dev.appFlags, p.cli.Dev.Static, p.cli.Dev.Threads
	return nil
}

// find finds the app.
func (d *devMaster) find() (*project.App, error) {
	dir := pathIn(d.line.dir, d.c.Chdir)
	var app *project.App
	var err error
	switch {
	case d.c.App != "":
		app, err = project.Named(dir, d.c.App, d.getenv)
	case len(d.c.Mount) > 0:
		app = &project.App{Dir: dir}
	default:
		app, err = project.Find(dir, d.getenv)
	}
	if err != nil {
		return nil, &codeError{exitUsage, err}
	}
	return app, nil
}

// getenv looks a variable up that somebody else than this server has set.
func (d *devMaster) getenv(name string) string {
	if _, ours := d.env[name]; ours {
		return ""
	}
	return os.Getenv(name)
}

// setenv sets the variables of a project for Python's processes, where they are not set.
func (d *devMaster) setenv(app *project.App) error {
	for name := range d.env {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	d.env = map[string]string{}
	if app.Framework != "Django" {
		d.env["FLASK_DEBUG"] = "1"           // as flask run --debug has it
		d.env["FLASK_RUN_FROM_CLI"] = "true" // app.run() does nothing then but say so
	}
	for name, value := range app.Env {
		d.env[name] = value
	}
	for name, value := range d.env {
		if _, set := os.LookupEnv(name); set {
			delete(d.env, name)
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("the variable %s: %w", name, err)
		}
	}
	return nil
}

// serveCmd finds the app and sets its variables, and is how the production server is run as a development server: its defaults, but for what follows.
func (d *devMaster) serveCmd() (*serveCmd, error) {
	app, err := d.find()
	if err != nil {
		return nil, err
	}
	if err := d.setenv(app); err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.app = app
	d.mu.Unlock()
	s, err := serveDefaults()
	if err != nil {
		return nil, err
	}
	s.appFlags = d.c.appFlags
	s.App, s.Chdir = app.Spec, app.Dir
	s.Static = d.c.Static
	s.Threads, s.Workers, s.GracefulTimeout = d.c.Threads, 1, oldCodeTime
	s.StartTimeout = 0 // somebody may be in the debugger while the app is imported
	address := net.JoinHostPort(strings.Trim(d.c.Host, "[]"), strconv.Itoa(d.c.Port))
	if err := (&s.Bind[0]).UnmarshalText([]byte(address)); err != nil {
		return nil, usageError("--host, --port: %w", err)
	}
	if d.c.HTTPS {
		if err := d.certify(s); err != nil {
			return nil, err
		}
	}
	if err := s.Validate(); err != nil {
		return nil, usageError("%w", err)
	}
	return s, nil
}

// oldCodeTime is how long requests may go on in code that was replaced. Streams never end by themselves.
const oldCodeTime = 5 * time.Second

// serveDefaults is serve without flags, variables and configuration.
func serveDefaults() (*serveCmd, error) {
	line := commandLine{args: []string{"serve", "app"}, env: map[string]string{"GOWSGI_CONFIG": os.DevNull}}
	return line.reparse()
}

// certify has the server speak TLS with a certificate of this user's own authority.
func (d *devMaster) certify(s *serveCmd) error {
	dir, err := devcert.Dir()
	if err != nil {
		return err
	}
	cert, key, authority, made, err := devcert.Certificate(dir, []string{d.c.Host})
	if err != nil {
		return fmt.Errorf("--https: %w", err)
	}
	s.Certfile, s.Keyfile = []string{cert}, []string{key}
	if made {
		d.mu.Lock()
		d.authority = authority
		d.mu.Unlock()
	}
	return nil
}

// open shows the site in a browser.
func (d *devMaster) open(url string) {
	if err := d.m.children.During(func() error { return browser.Open(url) }); err != nil {
		d.m.log.Warn("--open: " + err.Error())
	}
}
