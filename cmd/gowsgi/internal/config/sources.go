// Package config is where settings come from besides the command line: variables of the environment and a TOML file. The flags of kong's
// model declare the settings: the flag --spool-dir is GOWSGI_SPOOL_DIR and the key spool-dir. A flag on the command line counts before a
// variable, a variable before the file, the file before the default.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const (
	// Prefix is what the names of all variables begin with.
	Prefix = "GOWSGI_"
	// DefaultFile is read where neither --config nor its variable names a file, if it is there.
	DefaultFile = "gowsgi.toml"
	// fileFlag names the flag for the file. Commands that have it take settings from here; the others are left alone.
	fileFlag = "config"
)

// Sources is a kong.Resolver, for one parse. It is not for several goroutines at once.
type Sources struct {
	// Dir is the folder that the file's path is relative to.
	Dir string
	// Env are the variables that begin with Prefix. Those in the process's own environment must be gone, since kong would take them too,
	// and wouldn't let them be told apart from the file. An empty one counts as not set.
	Env map[string]string

	loaded bool
	err    error
	file   string            // that was read, "" for none
	given  map[string]string // the texts by the names of flags
	origin map[string]string // and where they are from; without those that the command line overrides
}

// Validate implements kong.Resolver.
func (s *Sources) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver. The errors of the variables and of the file come all at once, before any value is used.
func (s *Sources) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if parent.Command == nil || configFlag(parent.Command) == nil {
		return nil, nil
	}
	if !s.loaded {
		s.loaded = true
		if s.err = s.load(ctx, parent.Command); s.err == nil {
			s.err = s.setPositionals(ctx, parent.Command)
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	if text, ok := s.given[flag.Name]; ok {
		return text, nil
	}
	return nil, nil
}

// Err is what was wrong with the variables or the file, if that is why kong's Parse failed, without what kong wraps it in.
func (s *Sources) Err() error { return s.err }

func configFlag(node *kong.Node) *kong.Flag {
	for _, flag := range node.Flags {
		if flag.Name == fileFlag {
			return flag
		}
	}
	return nil
}

// settings are the flags and arguments by name of all commands that have a configuration, and the names of their variables.
func settings(app *kong.Application) (values map[string]*kong.Value, variables map[string]string) {
	values, variables = map[string]*kong.Value{}, map[string]string{}
	for _, node := range app.Children {
		if configFlag(node) == nil {
			continue
		}
		for _, flag := range node.Flags {
			if len(flag.Envs) > 0 {
				values[flag.Name], variables[flag.Name] = flag.Value, flag.Envs[0]
			}
		}
		for _, argument := range node.Positional {
			values[argument.Name] = argument
			variables[argument.Name] = Prefix + strings.ToUpper(strings.ReplaceAll(argument.Name, "-", "_"))
		}
	}
	return values, variables
}

// load reads all sources, and returns all that is wrong with them.
func (s *Sources) load(ctx *kong.Context, node *kong.Node) error {
	s.given, s.origin = map[string]string{}, map[string]string{}
	values, variables := settings(ctx.Model)
	f, err := s.open(ctx, node, variables[fileFlag])
	if err != nil {
		return err
	}
	var wrong []error
	known := slices.DeleteFunc(slices.Sorted(maps.Keys(values)), func(name string) bool { return name == fileFlag })
	for _, e := range f.entries {
		if !slices.Contains(known, e.key) {
			wrong = append(wrong, fmt.Errorf("%s:%d: unknown key %q; the nearest known one is %q", f.name, e.line, e.key, nearest(e.key, known)))
			continue
		}
		texts, err := f.texts(values[e.key], e)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		s.given[e.key] = join(values[e.key], texts)
		s.origin[e.key] = fmt.Sprintf("%s:%d", f.name, e.line)
	}
	wrong = append(wrong, s.loadEnv(values, variables)...)
	for _, path := range ctx.Path {
		switch {
		case path.Flag != nil:
			delete(s.origin, path.Flag.Name)
		case path.Positional != nil:
			delete(s.origin, path.Positional.Name)
		}
	}
	return errors.Join(wrong...)
}

func (s *Sources) loadEnv(values map[string]*kong.Value, variables map[string]string) (wrong []error) {
	names := map[string]string{}
	for name, variable := range variables {
		names[variable] = name
	}
	for _, variable := range slices.Sorted(maps.Keys(s.Env)) {
		text := s.Env[variable]
		name, known := names[variable]
		switch {
		case !known && isServiceLink(variable, text):
		case !known:
			near := nearest(variable, slices.Collect(maps.Keys(names)))
			wrong = append(wrong, fmt.Errorf("unknown variable %s; the nearest known one is %s", variable, near))
		case text == "":
		default:
			if err := try(values[name], text); err != nil {
				wrong = append(wrong, fmt.Errorf("%s=%q: %w", variable, text, err))
			}
			s.given[name], s.origin[name] = text, variable
		}
	}
	return wrong
}

// serviceLink is what Kubernetes sets in every container for a service whose name begins with gowsgi.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

func isServiceLink(variable, text string) bool {
	return serviceLink.MatchString(variable) || strings.HasSuffix(variable, "_PORT") && strings.Contains(text, "://")
}

// open reads the file that is named, or the one that is there by default.
func (s *Sources) open(ctx *kong.Context, node *kong.Node, variable string) (*file, error) {
	name := ""
	for _, path := range ctx.Path {
		if path.Flag != nil && path.Flag.Name == fileFlag {
			name, _ = ctx.Value(path).Interface().(string)
		}
	}
	if name == "" {
		name = s.Env[variable]
	}
	must := name != ""
	if !must {
		name = DefaultFile
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.Dir, path)
	}
	f, err := readFile(path, name)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return &file{}, nil
	}
	if err != nil {
		return nil, err
	}
	s.file = name
	return f, nil
}

// setPositionals sets the arguments that the command line does not give, which kong asks no resolver for.
func (s *Sources) setPositionals(ctx *kong.Context, node *kong.Node) error {
	for _, argument := range node.Positional {
		text, ok := s.given[argument.Name]
		if !ok || slices.ContainsFunc(ctx.Path, func(p *kong.Path) bool { return p.Positional == argument }) {
			continue
		}
		if err := argument.Parse(kong.Scan().PushTyped(text, kong.FlagValueToken), argument.Target); err != nil {
			return err
		}
	}
	return nil
}
