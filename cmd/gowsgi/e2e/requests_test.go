package e2e

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/gowsgi/gowsgi/testdata/requests"
)

// seenByPython turns what testdata/apps/seen says into the form of the table. Text of the environ holds bytes as Latin-1 (PEP 3333).
func seenByPython(header string) string {
	var seen [2]json.RawMessage
	environ, body := map[string]string{}, ""
	if json.Unmarshal([]byte(header), &seen) != nil || json.Unmarshal(seen[0], &environ) != nil || json.Unmarshal(seen[1], &body) != nil {
		return header
	}
	for k, v := range environ {
		environ[k] = latin1(v)
	}
	return requests.Seen(environ, latin1(body))
}

func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

func TestTheTableOfRequests(t *testing.T) {
	t.Parallel()
	s := start(t, "seen", options{})
	cases := requests.All(t)
	t.Run("", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				c.Drive(t, s.dial(t).Conn, 1<<20, seenByPython)
			})
		}
	})
	reached := getJSON[[]string](t, s, "/canaries")
	for _, c := range cases {
		if got := slices.Contains(reached, c.Name); got != (c.End == "open") {
			t.Errorf("%s: the connection is %s; the canary reached the app: %v", c.Name, c.End, got)
		}
	}
}
