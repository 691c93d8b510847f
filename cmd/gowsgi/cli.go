package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/acme"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/config"
)

// cli is the command line. Each flag is also an environment variable, --spool-dir is GOWSGI_SPOOL_DIR, and those of serve a key of
// gowsgi.toml; a flag that can be given several times takes values with commas between in its variable.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Serve an app."`
	Dev     devCmd     `cmd:"" help:"Run a development server: it finds the app in this folder, and loads code, pages and style sheets anew when files change."`
	Check   checkCmd   `cmd:"" help:"Print the settings that serve would have, load the app, print what it runs on, and exit."`
	Reload  reloadCmd  `cmd:"" help:"Have a running server exchange its workers for new ones, one at a time; fails where the new code does not load."`
	Stacks  stacksCmd  `cmd:"" help:"Have a running server write the stack of every Python thread to its log."`
	Import  importCmd  `cmd:"" help:"Make a gowsgi.toml of another server's configuration or command line: of uWSGI, gunicorn, Apache's mod_wsgi or mod_wsgi-express."`
	Python  pythonCmd  `cmd:"" passthrough:"" help:"Run the bundled CPython, as python (only in a bundled build): gowsgi python -m venv .venv"`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// commandLine is what the process was started with. It can be parsed again at any time: nothing that happened since changes it, but the
// configuration file is read anew.
type commandLine struct {
	args    []string
	env     map[string]string // our variables, which are gone from the environment
	dir     string            // the current folder at the start
	program string            // where this program was found
	upgrade string            // of upgradeVariable
}

// environ is the environment that a program in this one's place needs.
func (l *commandLine) environ() []string {
	all := os.Environ()
	for name, value := range l.env {
		all = append(all, name+"="+value)
	}
	return all
}

// program is the path by which this program was started: a link to it may be changed for an upgrade.
func program(dir string) string {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		if path, err = os.Executable(); err != nil {
			return os.Args[0]
		}
	}
	return strings.Clone(pathIn(dir, path))
}

// takeCommandLine removes our variables from the environment.
func takeCommandLine(args []string) (*commandLine, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("the current folder: %w", err)
	}
	env, err := takeEnv()
	if err != nil {
		return nil, err
	}
	upgrade := strings.Clone(os.Getenv(upgradeVariable))
	if err := os.Unsetenv(upgradeVariable); err != nil {
		return nil, err
	}
	return &commandLine{args, env, dir, program(dir), upgrade}, nil
}

// parsed is a command line with the settings of all sources.
type parsed struct {
	cli     cli
	ctx     *kong.Context
	sources *config.Sources
	helped  bool // it asked for help, which was printed
}

// parse never returns nil; what it returns with an error is good for nothing but helped.
func (l *commandLine) parse(stdout, stderr io.Writer) (*parsed, error) {
	p := &parsed{sources: &config.Sources{Dir: l.dir, Env: l.env}}
	parser, err := kong.New(&p.cli,
		kong.Name("gowsgi"),
		kong.Description("Serves Python WSGI apps (Django, Flask, anything that speaks PEP 3333) over HTTP.\n\n"+
			"Exit codes: 0 fine, 2 wrong command line or configuration, 3 Python can't be loaded, 4 the app can't be loaded, 1 the rest."),
		kong.DefaultEnvars(config.Prefix[:len(config.Prefix)-1]),
		kong.Vars{"cpus": strconv.Itoa(runtime.GOMAXPROCS(0)), "acme": acme.DefaultDirectory}, // what affinity and the cgroup grant
		kong.Resolvers(p.sources),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decodeTime)),
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
		kong.Exit(func(int) { p.helped = true }),
	)
	if err != nil {
		return p, err
	}
	p.ctx, err = parser.Parse(l.args)
	switch {
	case p.sources.Err() != nil:
		return p, &codeError{exitUsage, p.sources.Err()}
	case err != nil:
		return p, usageError("%w; see gowsgi --help", p.sources.Explain(err))
	}
	return p, nil
}

// decodeTime reads a time of the command line.
func decodeTime(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("time", &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is no time such as 30s or 2m", text)
	}
	target.SetInt(int64(d))
	return nil
}

// reparse is what the command line of serve, the variables as they were at the start and the configuration file as it is now say. Paths are
// as they were given: relative to where the process was started, or to --chdir.
func (l *commandLine) reparse() (*serveCmd, error) {
	p, err := l.parse(io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	return &p.cli.Serve, nil
}

// run is the program but for the exit.
func run(args []string, stdout, stderr io.Writer) int {
	fail := func(err error) int {
		code, text := exitCode(err)
		if text != "" { // even writing nothing waits for a line that can't be written
			fmt.Fprint(stderr, text)
		}
		return code
	}
	line, err := takeCommandLine(args)
	if err != nil {
		return fail(err)
	}
	p, err := line.parse(stdout, stderr)
	if p.helped { // kong goes on parsing after --help, and misses what was not given.
		return exitFine
	}
	if err != nil {
		return fail(err)
	}
	if line.upgrade == upgradeCheck {
		return fail(line.answerCheck(&p.cli.Serve, stdout))
	}
	err = p.ctx.Run(&output{stdout, stderr}, line, p.sources)
	if code, _ := exitCode(err); code == exitUsage {
		err = p.sources.Explain(err)
	}
	return fail(err)
}

// output is where a command writes: its results to Out, its log to Log.
type output struct{ Out, Log io.Writer }
