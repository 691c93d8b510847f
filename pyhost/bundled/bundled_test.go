//go:build bundled

package bundled

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gowsgi/gowsgi/pyhost"
)

// run runs the unpacked interpreter, or one of a virtualenv of it, without what the caller's environment says about Pythons.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PYTHON") && !strings.HasPrefix(kv, "VIRTUAL_ENV=") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestTheVersionIsTheOneOfTheModule(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "github.com/kluctl/go-embed-python "+packed) {
		t.Errorf("go.mod names another version than %s", packed)
	}
}

func TestTheBundledPythonIsWhole(t *testing.T) {
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	if !p.Bundled || p.Version != Version() || !strings.HasPrefix(p.Version, "3.14.") {
		t.Errorf("got %+v", p)
	}
	code := `import ssl, sqlite3, ctypes, lzma, bz2, zlib, hashlib, decimal, multiprocessing, ensurepip, venv, pip, zoneinfo, sys, platform
assert sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
assert ssl.create_default_context()
print(platform.python_version(), sys.executable, sys.prefix)`
	if got, want := run(t, p.Executable, "-I", "-c", code), p.Version+" "+p.Executable+" "+p.Prefix; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	asked, err := pyhost.Discover(pyhost.DiscoverOptions{Python: p.Executable})
	if err != nil || asked.Library != p.Library || asked.Version != p.Version || asked.Prefix != p.Prefix {
		t.Errorf("the interpreter itself says %+v, %v", asked, err)
	}
}

func TestAVirtualenvOfTheBundledPythonWorksAndIsMended(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "vénv")
	run(t, p.Executable, "-m", "venv", dir)
	run(t, filepath.Join(dir, "bin", "pip"), "--version")
	if own, mended, err := Verify(filepath.Join(p.Prefix, "bin")); !own || mended || err != nil {
		t.Errorf("after use: own %v, mended %v, %v", own, mended, err)
	}
	if err := os.RemoveAll(p.Prefix); err != nil {
		t.Fatal(err)
	}
	o := pyhost.DiscoverOptions{Python: dir, Bundled: Open, Mend: Mend}
	got, err := pyhost.Discover(o)
	if err != nil {
		t.Fatal(err)
	}
	if got.Executable != filepath.Join(dir, "bin", "python") || got.Library != p.Library || got.Prefix != dir {
		t.Errorf("got %+v", got)
	}
}
