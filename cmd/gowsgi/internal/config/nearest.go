package config

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// nearest is the name that takes the fewest edits to become, whatever the case; the first of several in alphabetical order.
func nearest(name string, names []string) string {
	return slices.MinFunc(slices.Sorted(slices.Values(names)), func(a, b string) int {
		return distance(name, a) - distance(name, b)
	})
}

func distance(a, b string) int {
	return levenshtein.Distance(strings.ToLower(a), strings.ToLower(b), nil)
}
