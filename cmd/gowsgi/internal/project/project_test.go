package project

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// TestLayouts reads testdata: each archive is a project, with the environment it is looked at in, and what must be found.
func TestLayouts(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) < 30 {
		t.Fatal(len(archives), err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			env, want := map[string]string{}, ""
			dir := t.TempDir()
			for _, file := range archive.Files {
				switch file.Name {
				case "environment":
					for line := range strings.Lines(string(file.Data)) {
						name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
						env[name] = value
					}
				case "want":
					want = string(file.Data)
				default:
					write(t, dir, file.Name, string(file.Data))
				}
			}
			if d := cmp.Diff(want, describe(dir, env)); d != "" {
				t.Errorf("%s(-want +got):\n%s", archive.Comment, d)
			}
		})
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// describe is what Find finds as text, with DIR for the folder.
func describe(dir string, env map[string]string) string {
	app, err := Find(dir, func(name string) string { return env[name] })
	return strings.ReplaceAll(report(app, err), dir, "DIR")
}

func report(app *App, err error) string {
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "app: %s\nin: %s\nwhy: %s\n", app, app.Dir, app.Why)
	for _, name := range slices.Sorted(maps.Keys(app.Env)) {
		fmt.Fprintf(&b, "set: %s=%s\n", name, app.Env[name])
	}
	for _, warning := range app.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", warning)
	}
	return b.String()
}
