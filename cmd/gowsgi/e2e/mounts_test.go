package e2e

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMountsSplitThePathAndTheLongestPrefixWins(t *testing.T) {
	t.Parallel()
	s := start(t, "mounts", options{spec: "wsgi:root", args: []string{"--mount", "/api=wsgi:api", "--mount", "/api/v2=wsgi:api_v2", "--mount", "/caf\u00e9=wsgi:cafe"}})
	c := s.dial(t)
	for target, want := range map[string][]string{
		"/":               {"root", "", "/"},
		"/apiary":         {"root", "", "/apiary"},
		"/API":            {"root", "", "/API"},
		"/x/api":          {"root", "", "/x/api"},
		"/api":            {"api", "/api", ""},
		"/api/":           {"api", "/api", "/"},
		"/api/users?a=/b": {"api", "/api", "/users"},
		"/api//x":         {"api", "/api", "//x"},
		"/api/v2":         {"api_v2", "/api/v2", ""},
		"/api/v2/":        {"api_v2", "/api/v2", "/"},
		"/api/v2/x":       {"api_v2", "/api/v2", "/x"},
		"/api/v22":        {"api", "/api", "/v22"},
		"/%61pi/x":        {"api", "/api", "/x"},
		"/caf%C3%A9/x":    {"cafe", "/caf\u00c3\u00a9", "/x"},
	} {
		var got []string
		if err := json.Unmarshal([]byte(c.do("GET", target, "").body()), &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", target, d)
		}
	}
}

func TestAppsOfAllMountsShareOneInterpreter(t *testing.T) {
	t.Parallel()
	s := start(t, "default_names", options{spec: "wsgi:app", args: []string{"--mount", "/file=site.wsgi", "--mount", "/pkg=pkg.deep"}})
	for target, want := range map[string]string{"/": "app", "/pkg": "pkg.deep"} {
		if got := s.getOK(t, target); got != want {
			t.Errorf("%s: %q", target, got)
		}
	}
	if r, _ := s.get(t, "/file"); r.status != 200 {
		t.Error(r.status)
	}
}
