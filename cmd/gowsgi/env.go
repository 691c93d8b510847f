package main

import (
	"os"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/config"
)

// takeArgs copies the command line. An app may overwrite its memory (setproctitle), which Go's strings point to.
func takeArgs() []string {
	for i, arg := range os.Args {
		os.Args[i] = strings.Clone(arg)
	}
	return os.Args[1:]
}

// takeEnv moves our variables out of the environment, so that neither the app nor what it starts sees them. With cgo that changes C's
// environ too, which CPython reads. The values are copies, as the arguments are.
func takeEnv() (map[string]string, error) {
	own := map[string]string{}
	for _, kv := range os.Environ() {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || !strings.HasPrefix(name, config.Prefix) {
			continue
		}
		own[strings.Clone(name)] = strings.Clone(value)
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	return own, nil
}
