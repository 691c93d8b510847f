package main

import (
	"os"
	"strings"
)

const envPrefix = "GOWSGI_"

// takeArgs copies the command line. An app may overwrite its memory (setproctitle), which Go's strings point to.
func takeArgs() []string {
	for i, arg := range os.Args {
		os.Args[i] = strings.Clone(arg)
	}
	return os.Args[1:]
}

// ownEnv are the names of our variables in the environment.
func ownEnv() []string {
	var names []string
	for _, kv := range os.Environ() {
		if name, _, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, envPrefix) {
			names = append(names, strings.Clone(name))
		}
	}
	return names
}

// holdEnv moves our variables to memory that an app can't overwrite, before the flags take their values from them.
func holdEnv() error {
	for _, name := range ownEnv() {
		if err := os.Setenv(name, strings.Clone(os.Getenv(name))); err != nil {
			return err
		}
	}
	return nil
}

// dropEnv removes our variables, so that neither the app nor what it starts sees them. With cgo that changes C's environ too, which
// CPython reads.
func dropEnv() error {
	for _, name := range ownEnv() {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return nil
}
