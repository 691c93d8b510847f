package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gowsgi/gowsgi/pyhost"
)

// Exit codes. What starts the server again after a failure can tell by them whether that makes sense.
const (
	exitFine   = 0
	exitOther  = 1
	exitUsage  = 2
	exitPython = 3
	exitApp    = 4
)

// codeError is an error that knows the exit code. With a nil err it ends the program without a word.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &codeError{exitUsage, fmt.Errorf(format, args...)}
}

// exitCode is the code for what a command returned, and what to print on standard error before.
func exitCode(err error) (code int, text string) {
	if err == nil {
		return exitFine, ""
	}
	code = exitOther
	var coded *codeError
	var app *pyhost.AppError
	switch {
	case errors.As(err, &coded):
		code = coded.code
		if coded.err == nil {
			return code, ""
		}
	case errors.As(err, &app):
		code = exitApp
	}
	return code, "gowsgi: " + plainText(err) + "\n"
}

// plainText is an error without the names of packages, for people.
func plainText(err error) string {
	text := err.Error()
	for _, pkg := range []string{"pyhost/template: ", "pyhost: ", "gateway: ", "bundled: "} {
		text = strings.TrimPrefix(text, pkg)
	}
	return strings.TrimRight(text, "\n")
}
