package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// pythonArgs are options for the interpreter, one word each, as pyhost.Options.Args has them.
type pythonArgs []string

// Decode implements kong.MapperValue. It takes the next word of the command line whatever it is: "-X dev" starts like a flag.
func (a *pythonArgs) Decode(ctx *kong.DecodeContext) error {
	for option := range strings.SplitSeq(ctx.Scan.Pop().String(), ",-") {
		if !strings.HasPrefix(option, "-") {
			option = "-" + option
		}
		words, err := pythonArg(option)
		if err != nil {
			return err
		}
		*a = append(*a, words...)
	}
	return nil
}

// String is the options as a shell would have them, but for quotes.
func (a pythonArgs) String() string { return strings.Join(a, " ") }

// pythonArg checks one option. Those that choose what python runs, or ask it for something else than to run, make no sense in a server.
func pythonArg(option string) ([]string, error) {
	if slices.Contains([]string{"-O", "-OO", "-B", "-u", "-E"}, option) {
		return []string{option}, nil
	}
	for _, name := range []string{"-X", "-W"} {
		value, ok := strings.CutPrefix(option, name)
		if !ok {
			continue
		}
		if value = strings.TrimSpace(value); value == "" {
			return nil, fmt.Errorf("%s needs a value, in the same word: --python-arg '%s VALUE'", name, name)
		}
		return []string{name, value}, nil
	}
	return nil, fmt.Errorf("python's option %q can't be used here; those that can are -X, -W, -O, -OO, -B, -u and -E", option)
}
