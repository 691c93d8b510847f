package importer

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed gunicornconf.py
var gunicornConf string

// parseTimeout bounds how long Python may take to parse a file.
const parseTimeout = 20 * time.Second

// setting is one setting of gunicorn.
type setting struct {
	from
	value   any // of JSON
	env     []string
	cpus    string // "all" for the number of processors, "some" where it is part of the value
	unknown string // why the value is not known, where it is not
}

// gunicorn are the settings by their names; a later source replaces what an earlier one says.
type gunicorn struct {
	r        *Result
	o        Options
	settings map[string]setting
}

// readGunicorn reads a gunicorn.conf.py.
func readGunicorn(r *Result, path string, data []byte, o Options) error {
	g := &gunicorn{r, o, map[string]setting{}}
	if err := g.file(path, data); err != nil {
		return err
	}
	g.finish(from{Place: Place{File: path}})
	return nil
}

// file has Python parse a gunicorn.conf.py.
func (g *gunicorn) file(path string, data []byte) error {
	python, err := g.o.Python()
	if err != nil {
		return fmt.Errorf("%s is Python code, and to parse it (it is not executed) takes a Python: %w", path, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), parseTimeout)
	defer cancel()
	whole, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, python, "-I", "-S", "-B", "-c", gunicornConf, whole, strconv.Itoa(g.o.CPUs))
	c.Env = append([]string{}, g.o.Environ...)
	c.Stdin = bytes.NewReader(data)
	out, err := c.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		lines := strings.Split(strings.TrimSpace(string(failed.Stderr)), "\n")
		err = errors.New(lines[len(lines)-1])
	}
	if err != nil {
		return fmt.Errorf("%s could not parse %s: %w", python, path, err)
	}
	var parsed struct {
		Error string
		Line  int
		Found []struct {
			Name, Kind string
			Line       int
			Value      any
			Env        []string
			CPUs       string
			Unknown    *string
		}
	}
	if err := json.Unmarshal(out, &parsed); err != nil {
		return fmt.Errorf("%s could not parse %s: %w", python, path, err)
	}
	if parsed.Error != "" {
		return unknown("%s is not Python: %s", Place{path, parsed.Line}, parsed.Error)
	}
	for _, f := range parsed.Found {
		at := from{Place{path, f.Line}, f.Name}
		switch hook := gunicornHooks[f.Name]; {
		case hook != "":
			g.r.note(at, "%s", hook)
		case f.Name == "":
			at.directive = "a statement"
			g.r.note(at, "%s", *f.Unknown)
		case f.Kind == "set" && f.Unknown != nil:
			g.settings[f.Name] = setting{from: at, unknown: *f.Unknown}
		case f.Kind == "set":
			g.settings[f.Name] = setting{from: at, value: f.Value, env: f.Env, cpus: f.CPUs}
		}
	}
	return nil
}

// text is a value as a command line would have it, "" for what leaves the default.
func (s setting) text() string {
	switch v := s.value.(type) {
	case string:
		return strings.TrimSpace(v)
	case bool:
		if v {
			return "true"
		}
	case float64:
		if v == math.Trunc(v) {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		return strconv.FormatFloat(math.Ceil(v), 'f', -1, 64)
	}
	return ""
}

// texts are the values of a list, or of a text with commas.
func (s setting) texts() []string {
	var all []string
	items, ok := s.value.([]any)
	if !ok {
		for part := range strings.SplitSeq(s.text(), ",") {
			items = append(items, part)
		}
	}
	for _, item := range items {
		if text := (setting{value: item}).text(); text != "" {
			all = append(all, text)
		}
	}
	return all
}

// isSet says whether the value differs from what gunicorn takes as nothing.
func (s setting) isSet() bool {
	switch v := s.value.(type) {
	case nil:
		return false
	case bool:
		return v
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return s.text() != "" && s.text() != "false"
}

// remark is what to know of where a value is from.
func (s setting) remark() string {
	var all []string
	if len(s.env) > 0 {
		all = append(all, "of $"+strings.Join(slices.Compact(s.env), ", $")+" or its default")
	}
	if s.cpus != "" {
		all = append(all, "from the number of processors here")
	}
	return strings.Join(all, ", ")
}

// finish makes gowsgi's settings of gunicorn's. at is what gunicorn's defaults are from.
func (g *gunicorn) finish(at from) {
	if _, ok := g.settings["workers"]; !ok {
		n := "1"
		s := setting{from: from{at.Place, "gunicorn's default"}}
		if v, ok := g.o.env("WEB_CONCURRENCY"); ok && digits().MatchString(v) {
			n, s.env = v, []string{"WEB_CONCURRENCY"}
		}
		s.value = n
		g.settings["workers"] = s
	}
	var names []string
	for name := range g.settings {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		x, y := g.settings[a].Place, g.settings[b].Place
		return cmp.Or(strings.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line), strings.Compare(a, b))
	})
	for _, name := range names {
		g.take(name, g.settings[name])
	}
	g.concurrency(at)
	g.certificates()
	g.proxies(at)
	g.r.wantApp(at)
	if app := g.r.get("app"); strings.Contains(app, "asgi") {
		g.r.note(from{at.Place, app}, "gowsgi serves WSGI, and the name says ASGI: in Django's projects the WSGI app is in wsgi.py")
	}
}

// take makes a setting of one.
func (g *gunicorn) take(name string, s setting) {
	take, simple, why := gunicornSpecial[name], gunicornSimple[name], withoutGunicorn(name)
	if take == nil && simple == "" && why == "" && !slices.Contains(gunicornNeedless, name) && !slices.Contains(gunicornLater, name) {
		return // a name of the file's own
	}
	if s.unknown != "" {
		g.r.note(s.from, "its value is not known: %s", s.unknown)
		return
	}
	if !s.isSet() {
		return
	}
	switch {
	case take != nil:
		take(g, s)
	case simple != "":
		g.simple(simple, s)
	case why != "":
		g.r.note(s.from, "%s", why)
	case slices.Contains(gunicornNeedless, name):
		g.r.needless(s.directive)
	}
}

// simple sets a key that means the same.
func (g *gunicorn) simple(key string, s setting) {
	switch {
	case keyNamed(key).form == numberForm:
		g.r.count(key, s.text(), s.from, nonempty(s.remark())...)
	case g.r.later(key, s.text(), s.from):
	default:
		g.r.set(key, s.text(), s.from, nonempty(s.remark())...)
	}
}

// nonempty leaves an empty text out.
func nonempty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}
