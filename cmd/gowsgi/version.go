package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/gowsgi/gowsgi/pyhost/bundled"
)

// version is set by the linker (-X main.version=1.2.3) for releases.
var version string

type versionCmd struct{}

// Run prints three lines.
func (c *versionCmd) Run(o *output) error {
	python := "none; uses the machine's"
	if bundled.Included {
		python = "CPython " + bundled.Version()
	}
	_, err := fmt.Fprintf(o.Out, "gowsgi %s\n%s %s/%s\nbundled Python: %s\n", ownVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, python)
	return err
}

// ownVersion is the linker's, else the module's where go install built it, else the commit's.
func ownVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "built from " + s.Value
		}
	}
	return "(devel)"
}
