package pyhost

import (
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakePython writes a bin/python under dir that answers as told, and a library for it.
func fakePython(t *testing.T, dir string, change func(a *answer)) string {
	t.Helper()
	path := filepath.Join(dir, "bin", "python")
	a := answer{
		Executable: path, Version: "3.12.1", Implementation: "cpython", Prefix: dir, BasePrefix: dir,
		LibDir: filepath.Join(dir, "lib"), Libraries: []string{"libpython3.12.so.1.0", "libpython3.12.so"},
	}
	if change != nil {
		change(&a)
	}
	for _, s := range []*string{&a.Executable, &a.Prefix, &a.BasePrefix, &a.LibDir} {
		*s = widen(*s)
	}
	for i := range a.Mapped {
		a.Mapped[i] = widen(a.Mapped[i])
	}
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, "#!/bin/sh\necho noise from a .pth file\ncat <<'END'\n"+askMark+string(b)+"\nEND\n", 0o755)
	return path
}

// widen does what discover.py does to a path.
func widen(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// fakeLibrary writes an ELF header of a shared library for this machine.
func fakeLibrary(t *testing.T, path string) string {
	t.Helper()
	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x01\x01")
	h[16] = byte(elf.ET_DYN)
	h[18] = byte(ownBuild().machine)
	h[20], h[52], h[54], h[58] = 1, 64, 56, 64
	writeFile(t, path, string(h), 0o644)
	return path
}

func lookup(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q:\n%v", part, err)
		}
	}
	if !strings.HasPrefix(err.Error(), "pyhost: ") {
		t.Errorf("the error does not start with the package: %v", err)
	}
}

func TestThePythonThatWasChosenComesFirst(t *testing.T) {
	root := t.TempDir()
	dir := func(name string) string { return filepath.Join(root, name) }
	for _, name := range []string{"given", "active", "conda", "app/.venv", "app/venv", "plain/venv", "sys"} {
		fakePython(t, dir(name), nil)
		fakeLibrary(t, filepath.Join(dir(name), "lib", "libpython3.12.so.1.0"))
	}
	if err := os.Symlink("python", dir("sys/bin/python3")); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"VIRTUAL_ENV": dir("active"), "CONDA_PREFIX": dir("conda"), "CONDA_DEFAULT_ENV": "work", "PATH": "rel:" + dir("sys/bin")}
	without := func(names ...string) map[string]string {
		env := map[string]string{}
		for k, v := range all {
			env[k] = v
		}
		for _, name := range names {
			delete(env, name)
		}
		return env
	}
	base := without("VIRTUAL_ENV")
	base["CONDA_DEFAULT_ENV"] = "base"
	bundled := func() (Python, error) { return Python{Executable: "/b/bin/python3"}, nil }

	for _, c := range []struct {
		name, python, app string
		env               map[string]string
		source, want      string
	}{
		{"--python, a folder", dir("given"), "app", all, "--python", dir("given/bin/python")},
		{"--python, a file", dir("given/bin/python"), "app", all, "--python", dir("given/bin/python")},
		{"--python, a name on PATH", "python3", "app", all, "--python", dir("sys/bin/python")},
		{"--python bundled", "bundled", "app", all, "bundled", "/b/bin/python3"},
		{"VIRTUAL_ENV", "", "app", all, "VIRTUAL_ENV", dir("active/bin/python")},
		{"CONDA_PREFIX", "", "app", without("VIRTUAL_ENV"), "CONDA_PREFIX", dir("conda/bin/python")},
		{"conda's base does not hide .venv", "", "app", base, ".venv", dir("app/.venv/bin/python")},
		{".venv before venv", "", "app", without("VIRTUAL_ENV", "CONDA_PREFIX"), ".venv", dir("app/.venv/bin/python")},
		{"venv", "", "plain", without("VIRTUAL_ENV", "CONDA_PREFIX"), "venv", dir("plain/venv/bin/python")},
		{"python3 on PATH", "", "", without("VIRTUAL_ENV", "CONDA_PREFIX"), "PATH", dir("sys/bin/python")},
		{"bundled", "", "", nil, "bundled", "/b/bin/python3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Discover(DiscoverOptions{Python: c.python, Dir: dir(c.app), Env: lookup(c.env), Bundled: bundled})
			if err != nil {
				t.Fatal(err)
			}
			if p.Source != c.source || p.Executable != c.want || p.Bundled != (c.source == "bundled") {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func TestWhereThereIsNoPythonTheErrorSaysWhereWeLooked(t *testing.T) {
	dir := t.TempDir()
	_, err := Discover(DiscoverOptions{Dir: dir, Env: lookup(nil)})
	wantError(t, err, dir, "VIRTUAL_ENV", "PATH", "--python")
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("not ErrNotFound: %v", err)
	}
}

func TestAChosenPythonThatIsNotThereIsAnErrorAndNothingElseIsTried(t *testing.T) {
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "text"), "x", 0o644)
	writeFile(t, filepath.Join(root, "app/.venv/pyvenv.cfg"), "home = /gone/bin\n", 0o644)
	bundled := func() (Python, error) { t.Error("the bundled Python was tried"); return Python{}, nil }
	for _, c := range []struct {
		name, python string
		env          map[string]string
		dir, want    string
	}{
		{"a missing file", root + "/none", nil, root, "no such file"},
		{"a missing name", "python9", nil, root, "no such program on PATH"},
		{"a text file", root + "/text", nil, root, "not executable"},
		{"an empty folder", root, nil, root, "no bin/python"},
		{"VIRTUAL_ENV was deleted", "", map[string]string{"VIRTUAL_ENV": root + "/gone"}, root, "VIRTUAL_ENV"},
		{".venv lost its python", "", nil, root + "/app", "python3 -m venv --clear"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Discover(DiscoverOptions{Python: c.python, Dir: c.dir, Env: lookup(c.env), Bundled: bundled})
			wantError(t, err, c.want)
		})
	}
}

func TestTheBundledPythonStandsInForAPathPythonThatCannotBeLoaded(t *testing.T) {
	root := t.TempDir()
	fakePython(t, root, nil)
	if err := os.Rename(filepath.Join(root, "bin/python"), filepath.Join(root, "bin/python3")); err != nil {
		t.Fatal(err)
	}
	env := lookup(map[string]string{"PATH": filepath.Join(root, "bin")})
	p, err := Discover(DiscoverOptions{Dir: root, Env: env, Bundled: func() (Python, error) { return Python{Executable: "/b"}, nil }})
	var none *NoLibraryError
	if err != nil || p.Executable != "/b" || !errors.As(p.Skipped, &none) {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestAVirtualenvOfTheBundledPythonIsMendedBeforeItRuns(t *testing.T) {
	root := t.TempDir()
	base := filepath.Join(root, "base")
	writeFile(t, filepath.Join(root, "v/pyvenv.cfg"), "include-system-site-packages = false\nHOME = "+base+"/bin\n", 0o644)
	if err := os.MkdirAll(filepath.Join(root, "v/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(base+"/bin/python", filepath.Join(root, "v/bin/python")); err != nil {
		t.Fatal(err)
	}
	mend := func(home string) error {
		if home != base+"/bin" {
			t.Errorf("home is %q", home)
		}
		fakePython(t, base, nil)
		fakeLibrary(t, base+"/lib/libpython3.12.so")
		return nil
	}
	for _, python := range []string{root + "/v", ""} {
		if err := os.RemoveAll(base); err != nil {
			t.Fatal(err)
		}
		env := lookup(map[string]string{"VIRTUAL_ENV": root + "/v"})
		if _, err := Discover(DiscoverOptions{Python: python, Dir: root, Env: env, Mend: mend}); err != nil {
			t.Errorf("--python %q: %v", python, err)
		}
	}
}

func TestTheLibraryIsFoundWhereItCanBe(t *testing.T) {
	for _, c := range []struct {
		name   string
		lib    string
		change func(root string, a *answer)
	}{
		{"base_prefix/lib", "lib/libpython3.12.so.1.0", nil},
		{"only the name without a number", "lib/libpython3.12.so", nil},
		{"a multiarch folder", "lib/x86_64-linux-gnu/libpython3.12.so.1.0", func(_ string, a *answer) { a.Multiarch = "x86_64-linux-gnu" }},
		{"lib64", "lib64/libpython3.12.so.1.0", nil},
		{"LIBDIR", "other/libpython3.12.so.1.0", func(root string, a *answer) { a.LibDir = root + "/other" }},
		{"relocated, with a LIBDIR that is gone", "lib/libpython3.12.so.1.0", func(_ string, a *answer) { a.LibDir = "/install/lib" }},
		{"conda, where sysconfig knows only the static one", "lib/libpython3.12.so.1.0", func(_ string, a *answer) { a.Libraries = nil }},
		{"free-threaded", "lib/libpython3.13t.so.1.0", func(_ string, a *answer) {
			a.Version, a.ABIFlags, a.FreeThreaded, a.Libraries = "3.13.0", "t", true, nil
		}},
		{"mapped by the interpreter", "far away/libpython3.12.so.1.0", func(root string, a *answer) {
			a.Mapped = []string{root + "/lib/libpython3.so", root + "/far away/libpython3.12.so.1.0"}
		}},
		{"a folder that is not ASCII", "lib/libpython3.12.so.1.0", func(root string, a *answer) { a.BasePrefix = root }},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "pythön 3")
			path := fakePython(t, root, func(a *answer) {
				if c.change != nil {
					c.change(root, a)
				}
			})
			want := fakeLibrary(t, filepath.Join(root, c.lib))
			p, err := Discover(DiscoverOptions{Python: path, Env: lookup(nil)})
			if err != nil {
				t.Fatal(err)
			}
			if p.Library != want || p.Executable != path {
				t.Errorf("got %+v, want library %s", p, want)
			}
		})
	}
}

func TestTheMappedLibraryWinsOverTheOneThatSysconfigNames(t *testing.T) {
	root := t.TempDir()
	fakeLibrary(t, root+"/lib/libpython3.12.so.1.0")
	want := fakeLibrary(t, root+"/mapped/libpython3.12.so.1.0")
	path := fakePython(t, root, func(a *answer) { a.Mapped = []string{want} })
	if p, err := Discover(DiscoverOptions{Python: path}); err != nil || p.Library != want {
		t.Errorf("got %q, %v", p.Library, err)
	}
}

func TestWithoutALibraryTheErrorNamesPythonPlacesAndTheCommandThatMendsIt(t *testing.T) {
	tmp := t.TempDir()
	for _, c := range []struct {
		name, root string
		change     func(a *answer)
		mend       string
	}{
		{"pyenv", ".pyenv/versions/3.12.1", nil, "PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install --force 3.12.1"},
		{"uv", "share/uv/python/cpython-3.12.1-linux-x86_64-gnu", nil, "uv python install --reinstall 3.12"},
		{"conda", "miniforge/envs/app", nil, "conda install --prefix"},
		{"Debian", "sys", func(a *answer) { a.Version, a.BasePrefix, a.Libraries, a.LibDir = "3.77.0", "/usr", nil, "/usr/lib" }, "apt-get install libpython3.77"},
		{"own build", "own build", nil, "--prefix='" + tmp + "/own build' --enable-shared"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := filepath.Join(tmp, c.root)
			if c.name == "conda" {
				writeFile(t, root+"/conda-meta/history", "", 0o644)
			}
			writeFile(t, root+"/lib/libpython3.12.so", "INPUT(-lpython3.12)", 0o644)
			path := fakePython(t, root, c.change)
			_, err := Discover(DiscoverOptions{Python: path})
			wantError(t, err, path, c.mend)
			var none *NoLibraryError
			if !errors.As(err, &none) {
				t.Fatalf("got %T", err)
			}
			if c.change == nil {
				wantError(t, err, root+"/lib/libpython3.12.so.1.0\n", root+"/lib/libpython3.12.so (not a shared library)")
			}
		})
	}
}

func TestInterpretersThatCannotBeLoadedAreRefusedByName(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(a *answer)
		want   string
	}{
		{"too old", func(a *answer) { a.Version = "3.8.18" }, "is CPython 3.8.18; 3.9 or newer is needed"},
		{"PyPy", func(a *answer) { a.Implementation, a.Version = "pypy", "3.10.14" }, "is pypy 3.10.14; only CPython can be loaded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := fakePython(t, t.TempDir(), c.change)
			_, err := Discover(DiscoverOptions{Python: path})
			wantError(t, err, path, c.want)
			var unsupported *UnsupportedError
			if !errors.As(err, &unsupported) {
				t.Errorf("got %T", err)
			}
		})
	}
}

func TestAnotherMachineOrLibcIsRefused(t *testing.T) {
	glibc, musl := build{elf.EM_X86_64, "glibc"}, build{elf.EM_X86_64, "musl"}
	wantUnsupported := func(err error, want string) {
		t.Helper()
		var e *UnsupportedError
		if !errors.As(err, &e) || !strings.Contains(e.Reason, want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	wantUnsupported(fits(musl, glibc), "built for musl, and this program for glibc")
	wantUnsupported(fits(glibc, musl), "built for glibc, and this program for musl")
	wantUnsupported(fits(build{elf.EM_AARCH64, "glibc"}, glibc), "built for EM_AARCH64")
	for _, other := range []build{glibc, {elf.EM_X86_64, ""}} {
		if err := fits(other, glibc); err != nil {
			t.Errorf("%v: %v", other, err)
		}
	}
	if err := fits(musl, build{elf.EM_X86_64, ""}); err != nil {
		t.Errorf("a program without a libc: %v", err)
	}
}

func TestTheLibcIsReadFromTheInterpreterOfAProgram(t *testing.T) {
	for name, want := range map[string]string{"/lib/ld-musl-x86_64.so.1\x00": "musl", "/lib64/ld-linux-x86-64.so.2\x00": "glibc"} {
		path := fakeLibrary(t, filepath.Join(t.TempDir(), "python"))
		h, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		ph := make([]byte, 56)
		ph[0], ph[8], ph[32] = byte(elf.PT_INTERP), 64+56, byte(len(name))
		h[32], h[56] = 64, 1
		if err := os.Remove(path); err != nil { // its mode would stay
			t.Fatal(err)
		}
		writeFile(t, path, string(h)+string(ph)+name, 0o755)
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := buildOf(f).libc; got != want {
			t.Errorf("%q: got %q", name, got)
		}
		f.Close()
		if own := ownBuild().libc; own != "" && own != want {
			_, err := Discover(DiscoverOptions{Python: path})
			wantError(t, err, path+" is built for "+want)
		}
	}
}

func TestAProgramThatIsNoPythonIsRefusedWithWhatItPrinted(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"prints something", "echo hello", "hello"},
		{"fails", "echo broken >&2; exit 3", "exit status 3\n  broken"},
		{"bad answer", "echo; echo '" + askMark + "{'", "does not answer like a Python"},
		{"Python 2", `[ "$1" = -V ] && echo Python 2.7.18 >&2 && exit; echo Unknown option: -I; exit 2`, "is Python 2.7.18"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "python")
			writeFile(t, path, "#!/bin/sh\n"+c.script+"\n", 0o755)
			_, err := Discover(DiscoverOptions{Python: path})
			wantError(t, err, path, c.want)
		})
	}
}

func TestAPythonThatHangsIsGivenUpAndItsChildrenEndToo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "python")
	writeFile(t, path, "#!/bin/sh\nsleep 60 &\necho $! > "+dir+"/pid\nwait\n", 0o755)
	start := time.Now()
	_, err := Discover(DiscoverOptions{Python: path, timeout: 500 * time.Millisecond})
	wantError(t, err, path, "did not answer within 500ms")
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
	pid, err := os.ReadFile(dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the child still runs: %s", stat)
		}
	}
}

func TestShellQuoteMakesOneWord(t *testing.T) {
	for in, want := range map[string]string{"/a/b-3.12": "/a/b-3.12", "/a b": "'/a b'", "it's": `'it'\''s'`, "": "''", "~/x": "'~/x'"} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func ExampleDiscover() {
	p, err := Discover(DiscoverOptions{Python: "/srv/app/.venv"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Executable, p.Version)
}
