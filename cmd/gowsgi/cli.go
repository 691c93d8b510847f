package main

import (
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// cli is the command line. Each flag is also an environment variable: --spool-dir is GOWSGI_SPOOL_DIR; a flag that can be given several
// times takes values with commas between there.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Serve an app."`
	Check   checkCmd   `cmd:"" help:"Load an app, print what it runs on, and exit."`
	Python  pythonCmd  `cmd:"" passthrough:"" help:"Run the bundled CPython, as python (only in a bundled build): gowsgi python -m venv .venv"`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// run is the program but for the exit.
func run(args []string, stdout, stderr io.Writer) int {
	var c cli
	helped := false
	parser, err := kong.New(&c,
		kong.Name("gowsgi"),
		kong.Description("Serves Python WSGI apps (Django, Flask, anything that speaks PEP 3333) over HTTP.\n\n"+
			"Exit codes: 0 fine, 2 wrong command line, 3 Python can't be loaded, 4 the app can't be loaded, 1 the rest."),
		kong.DefaultEnvars("GOWSGI"),
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		fmt.Fprintf(stderr, "gowsgi: %v\n", err)
		return exitOther
	}
	if err := holdEnv(); err != nil {
		fmt.Fprintf(stderr, "gowsgi: %v\n", err)
		return exitOther
	}
	ctx, err := parser.Parse(args)
	if helped { // kong goes on parsing after --help, and misses what was not given.
		return exitFine
	}
	if err != nil {
		fmt.Fprintf(stderr, "gowsgi: %v; see gowsgi --help\n", err)
		return exitUsage
	}
	if err := dropEnv(); err != nil {
		fmt.Fprintf(stderr, "gowsgi: %v\n", err)
		return exitOther
	}
	code, text := exitCode(ctx.Run(&output{stdout, stderr}))
	if text != "" { // even writing nothing waits for a line that can't be written
		fmt.Fprint(stderr, text)
	}
	return code
}

// output is where a command writes: its results to Out, its log to Log.
type output struct{ Out, Log io.Writer }
