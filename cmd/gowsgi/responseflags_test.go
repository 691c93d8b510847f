package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFoldersOfFilesThatAppsNameMustBeThere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		flags responseFlags
		want  string
	}{
		{responseFlags{SendfileRoot: []string{"missing"}}, "--sendfile-root missing"},
		{responseFlags{SendfileRoot: []string{"file"}}, "is not a folder"},
		{responseFlags{AccelRedirect: []staticFolder{{"/p", "missing"}}}, "--accel-redirect /p=missing"},
		{responseFlags{AccelRedirect: []staticFolder{{"/p", dir}, {"/p", "."}}}, "another folder is at /p/ too"},
	} {
		_, err := tc.flags.settings(dir, false)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v", tc.flags, err)
		} else if code, _ := exitCode(err); code != exitUsage {
			t.Errorf("exit code %d", code)
		}
	}
	s, err := (&responseFlags{SendfileRoot: []string{"."}, AccelRedirect: []staticFolder{{"/p", dir}}}).settings(dir, true)
	if err != nil || s.Roots[0] != dir || s.Redirects[0] != (staticSetting{"/p", dir}) || !s.Follow {
		t.Errorf("%+v %v", s, err)
	}
}
