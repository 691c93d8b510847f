package importer

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

var update = flag.Bool("update", false, "write the files that the results are compared with")

// python is the interpreter behind python3, which may be a script that takes its time.
var python = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	return strings.TrimSpace(string(out)), err
})

// onFourCPUs are options of a machine that is the same everywhere.
func onFourCPUs(environ ...string) Options {
	return Options{Environ: environ, CPUs: 4, Python: python}
}

// mustRead imports a file.
func mustRead(t *testing.T, path string, o Options) *Result {
	t.Helper()
	r, err := File(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRealConfigurationsOfPublicProjects(t *testing.T) {
	files, err := filepath.Glob("testdata/real/*")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, path := range files {
		if strings.HasSuffix(path, ".want") || strings.Contains(path, "LICENSE") {
			continue
		}
		read++
		t.Run(filepath.Base(path), func(t *testing.T) {
			got := mustRead(t, path, onFourCPUs()).TOML()
			if *update {
				if err := os.WriteFile(path+".want", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got (-update accepts it):\n%s", diff)
			}
			var tree map[string]any
			if err := toml.Unmarshal([]byte(got), &tree); err != nil {
				t.Errorf("it is no TOML: %v", err)
			}
		})
	}
	if read < 12 {
		t.Errorf("only %d configurations were read", read)
	}
}
