package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// pythonUnderTest is one CPython that can be loaded, and the virtualenv made from it.
type pythonUnderTest struct {
	interpreter string
	version     string // "3.11.7"
	minor       int
	bundled     bool // the one inside the binary
	venv        string
	args        []string // of gowsgi serve, that choose this Python
}

const probe = `import json, os, platform, sys, sysconfig
v = sysconfig.get_config_var
dirs = [v("LIBDIR") or "", os.path.join(v("LIBDIR") or "", v("MULTIARCH") or ""), v("LIBPL") or "", "/usr/lib/" + (v("MULTIARCH") or "")]
libs = [os.path.join(d, n) for d in dirs for n in (v("INSTSONAME"), v("LDLIBRARY")) if n and ".so" in n]
print(json.dumps([platform.python_implementation(), list(sys.version_info[:3]), os.path.realpath(sys.executable), [l for l in libs if os.path.exists(l)]]))`

// findPythons lists what this machine has, oldest first, and says why it left out the rest.
func findPythons() (found []pythonUnderTest, skipped []string) {
	candidates := filepath.SplitList(os.Getenv("GOWSGI_TEST_PYTHONS"))
	if len(candidates) == 0 {
		patterns := []string{"/usr/local/bin/python3.[0-9]*", "/usr/bin/python3.[0-9]*", "/opt/python*/bin/python3.[0-9]*"}
		for _, home := range []string{os.Getenv("PYENV_ROOT"), filepath.Join(os.Getenv("HOME"), ".pyenv")} {
			if home != "" {
				patterns = append(patterns, filepath.Join(home, "versions/*/bin/python"))
			}
		}
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			patterns = append(patterns, filepath.Join(dir, "python3"), filepath.Join(dir, "python3.[0-9]*"))
		}
		for _, p := range patterns {
			m, _ := filepath.Glob(p)
			candidates = append(candidates, m...)
		}
	}
	slices.Sort(candidates)
	seen := map[string]bool{}
	for _, c := range slices.Compact(candidates) {
		if strings.HasSuffix(c, "-config") || strings.Contains(c, "/shims/") {
			continue
		}
		out, err := exec.Command(c, "-I", "-c", probe).Output()
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("%s: does not run (%v)", c, err))
			continue
		}
		var row [4]json.RawMessage
		var implementation, real string
		var version []int
		var libs []string
		if err := json.Unmarshal(out, &row); err == nil {
			_ = json.Unmarshal(row[0], &implementation)
			_ = json.Unmarshal(row[1], &version)
			_ = json.Unmarshal(row[2], &real)
			_ = json.Unmarshal(row[3], &libs)
		}
		if len(version) != 3 || seen[real] {
			continue
		}
		seen[real] = true
		v := fmt.Sprintf("%d.%d.%d", version[0], version[1], version[2])
		switch {
		case implementation != "CPython":
			skipped = append(skipped, fmt.Sprintf("%s: %s, not CPython", c, implementation))
		case version[0] != 3 || version[1] < 9:
			skipped = append(skipped, fmt.Sprintf("%s: %s is older than 3.9", c, v))
		case len(libs) == 0:
			skipped = append(skipped, fmt.Sprintf("%s: %s has no shared libpython", c, v))
		default:
			found = append(found, pythonUnderTest{interpreter: c, version: v, minor: version[1]})
		}
	}
	slices.SortStableFunc(found, func(a, b pythonUnderTest) int { return a.minor - b.minor })
	return found, skipped
}

// pins are the packages of the virtualenvs.
func (p *pythonUnderTest) pins() []string {
	django := "django==5.2.19"
	if p.minor < 10 {
		django = "django==4.2.30"
	}
	return []string{"flask==3.1.3", "werkzeug==3.1.9", django}
}

// makeVenv makes the virtualenv, or takes the one that an earlier run made. Several test programs may do so at once.
func (p *pythonUnderTest) makeVenv() error {
	dir := filepath.Join(root, "build", "venvs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock, err := os.Create(filepath.Join(dir, ".lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	name := p.version
	if strings.HasPrefix(p.interpreter, "/usr/bin/") || strings.HasPrefix(p.interpreter, "/bin/") {
		name += "-system"
	}
	if p.bundled {
		name += "-bundled"
	}
	p.venv = filepath.Join(dir, name)
	bin := filepath.Join(p.venv, "bin", "python")
	p.args = []string{"--python", bin}
	done, want := filepath.Join(p.venv, ".complete"), p.interpreter+" "+strings.Join(p.pins(), " ")
	if b, err := os.ReadFile(done); err == nil && string(b) == want {
		return nil
	}
	if err := os.RemoveAll(p.venv); err != nil {
		return err
	}
	for _, c := range [][]string{
		{p.interpreter, "-m", "venv", p.venv},
		append([]string{bin, "-m", "pip", "install", "-q", "--disable-pip-version-check"}, p.pins()...),
	} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(c, " "), err, out)
		}
	}
	return os.WriteFile(done, []byte(want), 0o644)
}

// bundledPython is the CPython inside the binary, unpacked by it.
func bundledPython(binary string) (pythonUnderTest, error) {
	out, err := exec.Command(binary, "python", "-I", "-c", "import platform, sys; print(platform.python_version(), sys.executable)").Output()
	if err != nil {
		return pythonUnderTest{}, fmt.Errorf("%s python: %w", binary, err)
	}
	version, interpreter, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	p := pythonUnderTest{interpreter: interpreter, version: version, bundled: true}
	if _, err := fmt.Sscanf(version, "3.%d.", &p.minor); err != nil {
		return p, fmt.Errorf("%s python has the version %q", binary, version)
	}
	return p, p.makeVenv()
}
