package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/gowsgi/gowsgi/pyhost"
	"github.com/gowsgi/gowsgi/pyhost/bundled"
)

// checkEnd bounds what the apps do at their end (atexit) after a check.
const checkEnd = 10 * time.Second

type checkCmd struct {
	appFlags
}

// Run prints what was found as it goes, so that a failure shows how far it came. Without an app it checks Python alone.
func (c *checkCmd) Run(o *output) error {
	mounts, err := c.enter()
	if err != nil {
		return err
	}
	logger := newLogger(o.Log)
	host, p, err := c.open(mounts, pyhost.Options{Logger: logger})
	if err != nil {
		return err
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(o.Out, "%-12s%s\n", name, fmt.Sprintf(format, args...))
	}
	info := host.Info()
	line("python", "CPython %s, %s, found by %s", info.Version, gil(info.FreeThreaded), p.Source)
	line("executable", "%s", info.Executable)
	line("libpython", "%s", info.Library)
	line("prefix", "%s", info.Prefix)
	if p.Skipped != nil {
		line("passed over", "%v", p.Skipped)
	}
	if err := checkBundled(o.Out, p); err != nil {
		return &codeError{exitPython, err}
	}
	if _, err := loadApps(host, mounts); err != nil {
		return err
	}
	for i, app := range host.Info().Apps {
		line("app", "%s at %s/", app.Spec, mounts[i].prefix)
		if app.Framework != "" {
			line("framework", "%s", app.Framework)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkEnd)
	defer cancel()
	return host.Shutdown(ctx)
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
