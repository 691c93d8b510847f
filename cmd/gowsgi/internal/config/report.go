package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Setting is one setting as it is in effect.
type Setting struct {
	Name   string
	Value  string // as the command line would have it, "" for none
	Origin string // "flag", a variable, "FILE:LINE" or "default"
}

// Settings are those of the command that was parsed, in the order of their declaration: its arguments, the file, the flags.
func (s *Sources) Settings(ctx *kong.Context) []Setting {
	var all []Setting
	add := func(v *kong.Value, given bool, text string) {
		origin := "default"
		switch {
		case given:
			origin = "flag"
		case s.origin[v.Name] != "":
			origin = s.origin[v.Name]
		}
		all = append(all, Setting{v.Name, text, origin})
	}
	node := ctx.Selected()
	for _, argument := range node.Positional {
		given := slices.ContainsFunc(ctx.Path, func(p *kong.Path) bool { return p.Positional == argument })
		add(argument, given, format(argument.Target))
	}
	for _, flag := range node.Flags {
		given := slices.ContainsFunc(ctx.Path, func(p *kong.Path) bool { return p.Flag == flag && !p.Resolved })
		text := format(flag.Target)
		switch {
		case flag.Name == fileFlag:
			text = s.file
		case flag.Target.IsZero() && !flag.HasDefault && !flag.IsBool(): // 0 for what is not set
			text = ""
		}
		add(flag.Value, given, text)
	}
	return all
}

// format is a value as the command line would have it, or "" for none.
func format(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration: // without the zero units at the end
		text := value.String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return text
	case fmt.Stringer:
		return value.String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return format(v.Elem())
	case reflect.Slice:
		var all []string
		for i := range v.Len() {
			all = append(all, format(v.Index(i)))
		}
		return strings.Join(all, ", ")
	}
	return fmt.Sprint(v.Interface())
}

var flagNames = regexp.MustCompile(`--[a-z][a-z-]*[a-z]`)

// Explain adds to an error that names flags where their values are from, where that is not the command line.
func (s *Sources) Explain(err error) error {
	var from []string
	for _, name := range flagNames.FindAllString(err.Error(), -1) {
		origin := s.origin[strings.TrimPrefix(name, "--")]
		if note := fmt.Sprintf("%s is from %s", name, origin); origin != "" && !slices.Contains(from, note) {
			from = append(from, note)
		}
	}
	if from == nil {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(from, ", "))
}
