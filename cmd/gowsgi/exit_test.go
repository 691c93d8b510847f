package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gowsgi/gowsgi/pyhost"
)

func TestEachKindOfFailureHasItsExitCode(t *testing.T) {
	app := &pyhost.AppError{Spec: "site", Reason: "there is no module 'site'", Traceback: "Traceback\n"}
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{nil, 0, ""},
		{&codeError{code: 0}, 0, ""},
		{&codeError{code: 7}, 7, ""},
		{errors.New("disk full"), 1, "gowsgi: disk full\n"},
		{fmt.Errorf("outer: %w", usageError("no app")), 2, "gowsgi: outer: no app\n"},
		{&codeError{exitPython, errors.New("pyhost: no Python")}, 3, "gowsgi: no Python\n"},
		{app, 4, "gowsgi: the app site can't be loaded: there is no module 'site'\nTraceback\n"},
	} {
		if code, text := exitCode(c.err); code != c.code || text != c.text {
			t.Errorf("%v: got %d, %q", c.err, code, text)
		}
	}
}
