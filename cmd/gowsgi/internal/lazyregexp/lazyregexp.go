// Package lazyregexp compiles regular expressions when they are first used: every worker process starts with the program's package variables.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns what gives the compiled expression, from any goroutine. It panics, when first called, where text is none.
func New(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
