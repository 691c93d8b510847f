package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/deploypy"
	"github.com/gowsgi/gowsgi/pyhost"
	"github.com/gowsgi/gowsgi/pyhost/bundled"
)

// checkEnd bounds what the apps do at their end (atexit) after a check.
const checkEnd = 10 * time.Second

// checkCmd has the flags of serve.
type checkCmd struct {
	Deploy bool `env:"-" help:"Say what would go wrong in production, and how to mend it: in the app and its settings, in the flags, on this machine. Exit code 1 where something is an error or a warning."`

	serveCmd
}

// Validate implements kong's interface. What serve needs but an app, check needs too.
func (c *checkCmd) Validate() error {
	served := c.serveCmd
	if served.App == "" {
		served.App = "none"
	}
	return served.Validate()
}

// Run prints what was found as it goes, so that a failure shows how far it came. Without an app it checks Python alone.
func (c *checkCmd) Run(o *output, line *commandLine, parsed *kong.Context, sources *config.Sources) error {
	settings := slices.DeleteFunc(sources.Settings(parsed), func(s config.Setting) bool { return s.Name == "deploy" })
	if err := printSettings(o.Out, settings); err != nil {
		return err
	}
	dir, mounts, err := c.enter(line.dir)
	if err != nil {
		return err
	}
	files, err := c.staticFlags.settings(dir, mounts)
	if err != nil {
		return err
	}
	if _, err := c.responseFlags.settings(dir, c.StaticFollowSymlinks); err != nil {
		return err
	}
	logger := newLogger(o.Log)
	tlsFiles, err := c.tlsFlags.settings(dir, len(c.ACME) > 0, nil, logger)
	if err != nil {
		return err
	}
	identity, err := lookup(&c.serveCmd)
	if err != nil {
		return err
	}
	options := pyhost.Options{Logger: logger}
	if c.Deploy {
		options.Modules = deploypy.Modules()
	}
	host, p, err := c.open(dir, mounts, options)
	if err != nil {
		return err
	}
	say := func(name, format string, args ...any) {
		fmt.Fprintf(o.Out, "%-12s%s\n", name, fmt.Sprintf(format, args...))
	}
	info := host.Info()
	say("python", "CPython %s, %s, found by %s", info.Version, gil(info.FreeThreaded), p.Source)
	say("executable", "%s", info.Executable)
	say("libpython", "%s", info.Library)
	say("prefix", "%s", info.Prefix)
	if p.Skipped != nil {
		say("passed over", "%v", p.Skipped)
	}
	if err := checkBundled(o.Out, p); err != nil {
		return &codeError{exitPython, err}
	}
	apps := appSettings(mounts, c.RequestTimeout)
	if _, err := loadApps(host, apps); err != nil {
		return err
	}
	for i, app := range host.Info().Apps {
		say("app", "%s at %s/", app.Spec, mounts[i].prefix)
		if app.Framework != "" {
			say("framework", "%s", app.Framework)
		}
	}
	found := files.find(host, apps)
	for _, f := range found.Folders {
		say("static", "%s/ from %s", f.Prefix, f.Dir)
	}
	for _, problem := range found.Problems {
		logger.Warn(problem)
	}
	var wrong error
	if c.Deploy {
		fmt.Fprintln(o.Out)
		wrong = report(o.Out, c.findings(host, checked{dir, mounts, p, identity, found.Folders, tlsFiles}))
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkEnd)
	defer cancel()
	return errors.Join(wrong, host.Shutdown(ctx))
}

// printSettings writes a table, and an empty line below it.
func printSettings(out io.Writer, settings []config.Setting) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, s := range settings {
		if s.Value == "" {
			s.Value = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Name, s.Value, s.Origin)
	}
	fmt.Fprintln(table)
	return table.Flush()
}

func gil(freeThreaded bool) string {
	if freeThreaded {
		return "free-threaded (no GIL)"
	}
	return "GIL"
}

// checkBundled reads every file of the unpacked Python where that is what was loaded.
func checkBundled(out io.Writer, p pyhost.Python) error {
	own, mended, err := bundled.Verify(filepath.Join(p.BasePrefix, "bin"))
	if err != nil || !own {
		return err
	}
	if mended {
		return fmt.Errorf("the unpacked Python in %s was damaged and has been unpacked again; check once more", p.BasePrefix)
	}
	fmt.Fprintf(out, "%-12s%s\n", "unpacked", "every file is as it was packed")
	return nil
}
