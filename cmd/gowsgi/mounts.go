package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// mount is an app and the URL prefix that it answers under, "" for all.
type mount struct{ prefix, app string }

// UnmarshalText implements encoding.TextUnmarshaler: PREFIX=APP.
func (m *mount) UnmarshalText(text []byte) error {
	prefix, app, ok := strings.Cut(string(text), "=")
	switch {
	case !ok || app == "":
		return fmt.Errorf("%q is not PREFIX=APP, such as /api=api:app", text)
	case !strings.HasPrefix(prefix, "/"):
		return fmt.Errorf("the prefix of %q does not start with a slash", text)
	case strings.Contains(prefix, "//") || strings.ContainsAny(prefix, "?#") || hasDots(prefix):
		return fmt.Errorf("the prefix of %q is not a URL path", text)
	}
	*m = mount{strings.TrimSuffix(prefix, "/"), app}
	return nil
}

// hasDots says whether a path has a segment that clients take out before they ask.
func hasDots(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(segment string) bool { return segment == "." || segment == ".." })
}

func (m mount) String() string {
	if m.prefix == "" {
		return m.app
	}
	return m.prefix + "=" + m.app
}

// allMounts are the mounts and, where app is given, app under every other path. None where neither is given.
func allMounts(app string, mounts []mount) ([]mount, error) {
	var all []mount
	if app != "" {
		all = append(all, mount{"", app})
	}
	all = append(all, mounts...)
	seen := map[string]bool{}
	for _, m := range all {
		if seen[m.prefix] {
			return nil, usageError("two apps are mounted at %s/", m.prefix)
		}
		seen[m.prefix] = true
	}
	return all, nil
}

// requestTimeout is how long the app at a prefix may take for a request; prefix is "" for all that have none of their own.
type requestTimeout struct {
	prefix string
	time   time.Duration
}

// UnmarshalText implements encoding.TextUnmarshaler: TIME or PREFIX=TIME.
func (r *requestTimeout) UnmarshalText(text []byte) error {
	prefix, timeText, ok := strings.Cut(string(text), "=")
	if !ok {
		prefix, timeText = "", prefix
	} else if !strings.HasPrefix(prefix, "/") {
		return fmt.Errorf("the prefix of %q does not start with a slash", text)
	}
	d, err := time.ParseDuration(timeText)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no time such as 30s or 2m", timeText)
	}
	*r = requestTimeout{strings.TrimSuffix(prefix, "/"), d}
	return nil
}

func (r requestTimeout) String() string {
	if r.prefix == "" {
		return r.time.String()
	}
	return r.prefix + "=" + r.time.String()
}

// timeoutOf is the request timeout of a mount, 0 for none.
func timeoutOf(prefix string, all []requestTimeout) (d time.Duration) {
	for _, r := range all {
		if r.prefix == "" {
			d = r.time
		}
	}
	for _, r := range all {
		if r.prefix == prefix {
			d = r.time
		}
	}
	return d
}
