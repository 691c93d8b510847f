package devpy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The packages whose apps the modules are tested with, as in the end-to-end tests.
const requirements = `flask==3.1.3
werkzeug==3.1.9
django==5.2.19; python_version >= "3.10"
django==4.2.30; python_version < "3.10"
`

func TestWhatGoesAroundAnAppPassesItsOwnTests(t *testing.T) {
	for version, python := range venvs(t) {
		// Each in a process of its own: the setup of Django can't be undone.
		for _, module := range []string{"pages_test", "pages_csp_test", "pages_flask_test", "pages_django_test", "dev_test", "preload_test"} {
			t.Run(version+"/"+module, func(t *testing.T) {
				cmd := exec.Command(python, "-W", "error::ResourceWarning", "-B", "-m", "unittest", "-q", module)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", cmd, err, out)
				}
			})
		}
	}
}

// venvs are the interpreters of virtualenvs with the requirements, by version: of those in GOWSGI_TEST_PYTHONS, else of the oldest and the
// newest Python here; with -short the test is skipped.
func venvs(t *testing.T) map[string]string {
	t.Helper()
	if testing.Short() {
		t.Skip("all of it is Python")
	}
	scripts, err := filepath.Abs("../../../../scripts")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "requirements.txt")
	if err := os.WriteFile(file, []byte(requirements), 0o600); err != nil {
		t.Fatal(err)
	}
	pythons := filepath.SplitList(os.Getenv("GOWSGI_TEST_PYTHONS"))
	if len(pythons) == 0 {
		var all []string // newest first
		for line := range strings.Lines(output(t, filepath.Join(scripts, "pythons.sh"))) {
			_, python, _ := strings.Cut(strings.TrimSpace(line), " ")
			all = append(all, python)
		}
		if len(all) == 0 {
			t.Skip("no CPython with a shared library on this machine")
		}
		pythons = []string{all[len(all)-1], all[0]}
	}
	found := map[string]string{}
	for _, python := range pythons {
		version := output(t, python, "-I", "-c", "import platform; print(platform.python_version(), end='')")
		folder := filepath.Join(filepath.Dir(scripts), "build", "devpy-venvs", version)
		output(t, filepath.Join(scripts, "venv.sh"), python, folder, file)
		found[version] = filepath.Join(folder, "bin", "python")
	}
	return found
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, errs.String())
	}
	return string(out)
}
