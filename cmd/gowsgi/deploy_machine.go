package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// endOfLife is when a Python's security fixes end: https://devguide.python.org/versions/
var endOfLife = map[string]time.Time{
	"3.9":  time.Date(2025, 10, 31, 0, 0, 0, 0, time.UTC),
	"3.10": time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC),
	"3.11": time.Date(2027, 10, 31, 0, 0, 0, 0, time.UTC),
	"3.12": time.Date(2028, 10, 31, 0, 0, 0, 0, time.UTC),
	"3.13": time.Date(2029, 10, 31, 0, 0, 0, 0, time.UTC),
	"3.14": time.Date(2030, 10, 31, 0, 0, 0, 0, time.UTC),
}

// age adds when the Python is too old, or will be soon.
func (f *findings) age(version string, now time.Time) {
	minor := version[:max(strings.LastIndexByte(version, '.'), 0)]
	switch end, known := endOfLife[minor]; {
	case !known:
	case now.After(end):
		f.add(levelWarning, "Python", fmt.Sprintf("Python %s has had no security fixes since %s", minor, end.Format("January 2006")), "a newer Python, and a virtualenv made with it")
	case now.AddDate(0, 6, 0).After(end):
		f.add(levelNote, "Python", fmt.Sprintf("Python %s gets security fixes until %s", minor, end.Format("January 2006")), "plan for a newer Python")
	}
}

// access adds what the user whom the server becomes can't reach.
func (f *findings) access(is *checked, spool string) {
	if is.identity == nil {
		f.spool(spool, unix.Access)
		return
	}
	const mend = "move it out of that folder, or give the user the right: chmod, chgrp"
	seen := map[string]bool{}
	look := func(what, path string, mode uint32) {
		if err := is.identity.Access(path, mode); err != nil && !seen[err.Error()] {
			seen[err.Error()] = true
			f.add(levelError, "--user", fmt.Sprintf("it can't use %s %s: %v", what, path, err), mend)
		}
	}
	look("libpython", is.python.Library, unix.R_OK)
	look("Python", is.python.Executable, unix.R_OK|unix.X_OK)
	look("Python's folder", is.python.Prefix, unix.R_OK|unix.X_OK)
	look("the app's folder", is.dir, unix.R_OK|unix.X_OK)
	for _, folder := range is.static {
		look("the static files", folder.Dir, unix.R_OK|unix.X_OK)
	}
	f.spool(spool, is.identity.Access)
}

// memory compares what this process takes, with the apps imported, with what all workers may. Preloaded workers share about half of it.
func (f *findings) memory(c *serveCmd, resident, limit int64) {
	all := resident * int64(c.Workers)
	if c.Preload == preloadOn || c.Preload == preloadForce {
		all = resident + all/2
	}
	if resident == 0 || limit == 0 || all <= limit/10*8 {
		return
	}
	mend := "fewer --workers, or more memory"
	if c.Preload == preloadOff || c.Preload == "" {
		mend = "fewer --workers, --preload, which shares about half of it, or more memory"
	}
	f.add(levelWarning, "--workers", fmt.Sprintf("%d workers take about %d MiB before the first request (%d MiB each after the import), and may have %d MiB",
		c.Workers, all>>20, resident>>20, limit>>20), mend)
}

// memoryLimit is how much memory the process may have, in bytes: by its cgroup and those above it, else what the machine has; 0 where that can't be told.
// root is "/".
func memoryLimit(root string) int64 {
	limit := machineMemory(root)
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return limit
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // cgroups(7)
		if len(parts) < 3 {
			continue
		}
		mounted, file := "sys/fs/cgroup", "memory.max"
		switch {
		case parts[1] == "memory": // version 1
			mounted, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case parts[0] != "0":
			continue
		}
		for dir := filepath.Join("/", parts[2]); ; dir = filepath.Dir(dir) {
			if n := readNumber(filepath.Join(root, mounted, dir, file)); n > 0 && (limit == 0 || n < limit) {
				limit = n
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit
}

// readNumber is 0 for "max" and for what is not there.
func readNumber(file string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func machineMemory(root string) int64 {
	b, err := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
