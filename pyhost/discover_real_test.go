package pyhost

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// realPythons are the Pythons of this machine: Debian's, those of pyenv, and what PATH holds.
func realPythons(t *testing.T) []string {
	t.Helper()
	var list []string
	roots := []string{os.Getenv("PYENV_ROOT"), filepath.Join(os.Getenv("HOME"), ".pyenv")}
	for _, root := range roots {
		found, err := filepath.Glob(filepath.Join(root, "versions", "*", "bin", "python"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			list = appendNew(list, path)
		}
	}
	for _, path := range []string{"/usr/bin/python3", "/usr/local/bin/python3", lookPath("python3", os.Getenv("PATH"))} {
		if isProgram(path) {
			list = appendNew(list, path)
		}
	}
	return list
}

// loadablePythons are those of the real ones that Discover accepts; with -short one of them.
func loadablePythons(t *testing.T) []Python {
	t.Helper()
	var list []Python
	for _, path := range realPythons(t) {
		if p, err := Discover(DiscoverOptions{Python: path}); err == nil {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		t.Skip("no CPython with a shared library on this machine")
	}
	if testing.Short() {
		return list[len(list)-1:]
	}
	return list
}

// say runs python code as the server would not: with its environment, and returns what it printed.
func say(t *testing.T, python, code string) string {
	t.Helper()
	out, err := exec.Command(python, "-c", code).Output()
	if err != nil {
		t.Fatalf("%s: %v", python, err)
	}
	return strings.TrimSpace(string(out))
}

func TestEveryPythonOfThisMachineIsFoundOrRefusedWithAReason(t *testing.T) {
	pythons := realPythons(t)
	if len(pythons) == 0 {
		t.Skip("no Python on this machine")
	}
	for _, path := range pythons {
		t.Run(path, func(t *testing.T) {
			p, err := Discover(DiscoverOptions{Python: path})
			if err != nil {
				wantError(t, err)
				t.Logf("refused: %v", err)
				return
			}
			t.Logf("%+v", p)
			if want := say(t, path, "import sys; print(sys.executable)"); p.Executable != want {
				t.Errorf("executable %s, want %s", p.Executable, want)
			}
			if want := say(t, path, "import platform; print(platform.python_version())"); p.Version != want {
				t.Errorf("version %s, want %s", p.Version, want)
			}
			wantLibraryOf(t, p)
		})
	}
}

// wantLibraryOf holds the library to be of the interpreter's very version: CPython keeps it as text.
func wantLibraryOf(t *testing.T, p Python) {
	t.Helper()
	f, err := elf.Open(p.Library)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	b, err := os.ReadFile(p.Library)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(p.Version)) {
		t.Errorf("%s does not hold the version %s", p.Library, p.Version)
	}
}

func TestAVirtualenvKeepsItsOwnPython(t *testing.T) {
	for _, base := range loadablePythons(t) {
		t.Run(base.Version+" "+base.Prefix, func(t *testing.T) {
			tmp := t.TempDir()
			dir := filepath.Join(tmp, "an äpp", ".venv")
			if out, err := exec.Command(base.Executable, "-m", "venv", "--without-pip", dir).CombinedOutput(); err != nil {
				t.Skipf("this Python makes no virtualenv: %v: %s", err, out)
			}
			link := filepath.Join(tmp, "link")
			if err := os.Symlink(dir, link); err != nil {
				t.Fatal(err)
			}
			for name, c := range map[string]struct {
				o    DiscoverOptions
				want string
			}{
				"--python, the folder":     {DiscoverOptions{Python: dir}, dir},
				"--python, the executable": {DiscoverOptions{Python: filepath.Join(dir, "bin", "python")}, dir},
				"--python, a symlink":      {DiscoverOptions{Python: link}, link},
				"VIRTUAL_ENV":              {DiscoverOptions{Env: lookup(map[string]string{"VIRTUAL_ENV": dir})}, dir},
				".venv beside the app":     {DiscoverOptions{Dir: filepath.Dir(dir), Env: lookup(nil)}, dir},
			} {
				p, err := Discover(c.o)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if p.Executable != filepath.Join(c.want, "bin", "python") || p.Prefix != c.want || p.BasePrefix != base.BasePrefix ||
					p.Library != base.Library {
					t.Errorf("%s: got %+v", name, p)
				}
			}
		})
	}
}

func TestTheEnvironmentAndTheCurrentFolderDoNotChangeTheAnswer(t *testing.T) {
	want := loadablePythons(t)[0]
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "json.py"), "raise SystemExit('the wrong json')", 0o644)
	for name, value := range map[string]string{
		"PYTHONHOME": "/nonexistent", "PYTHONPATH": dir, "PYTHONSTARTUP": dir + "/json.py", "PYTHONINSPECT": "1", "PYTHONVERBOSE": "1",
		"PYTHONIOENCODING": "utf-16", "LC_ALL": "xx_YY",
	} {
		t.Setenv(name, value)
	}
	p, err := Discover(DiscoverOptions{Python: want.Executable, Dir: dir})
	if err != nil || p.Library != want.Library || p.Prefix != want.Prefix {
		t.Errorf("got %+v, %v", p, err)
	}
}

// A conda environment is a relocated installation: bin/python finds its library by $ORIGIN/../lib or holds a copy of it, sysconfig may
// know only the static library, and conda-meta tells whose it is.
func TestARelocatedInstallationLikeCondasIsFound(t *testing.T) {
	var base Python
	for _, p := range loadablePythons(t) {
		if strings.Contains(p.BasePrefix, "/versions/") {
			base = p
		}
	}
	if base.Executable == "" {
		t.Skip("no installation on this machine that can be copied")
	}
	dir := filepath.Join(t.TempDir(), "envs", "app")
	xy := base.Version[:strings.LastIndexByte(base.Version, '.')]
	writeFile(t, filepath.Join(dir, "conda-meta", "history"), "", 0o644)
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, base.BasePrefix+"/bin/python"+xy, filepath.Join(dir, "bin", "python"))
	if err := os.MkdirAll(filepath.Join(dir, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, base.Library, filepath.Join(dir, "lib", filepath.Base(base.Library)))
	if err := os.Symlink(base.BasePrefix+"/lib/python"+xy, filepath.Join(dir, "lib", "python"+xy)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LD_LIBRARY_PATH", filepath.Join(dir, "lib")) // What conda's rpath does.
	p, err := Discover(DiscoverOptions{Env: lookup(map[string]string{"CONDA_PREFIX": dir, "CONDA_DEFAULT_ENV": "app"})})
	if err != nil {
		t.Fatal(err)
	}
	if p.Source != "CONDA_PREFIX" || p.Prefix != dir || p.Library != filepath.Join(dir, "lib", filepath.Base(base.Library)) {
		t.Errorf("got %+v", p)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, string(b), 0o755)
}
