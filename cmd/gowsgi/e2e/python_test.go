package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPythonStartsAsTheVirtualenvsOwnWould compares, field by field, what an app sees with what the same file prints under the
// virtualenv's own python.
func TestPythonStartsAsTheVirtualenvsOwnWould(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		env  []string
		args []string // of python, one option each
	}{
		"C.UTF-8":          {env: []string{"LC_ALL=C.UTF-8"}},
		"LC_ALL=C":         {env: []string{"LC_ALL=C"}},
		"no locale at all": {env: []string{"LANG="}},
		"a missing locale": {env: []string{"LC_ALL=xx_YY.UTF-8"}},
		"PYTHONUTF8=0":     {env: []string{"LC_ALL=C", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0"}},
		"PYTHONPATH":       {env: []string{"PYTHONPATH=/nonexistent/a:/nonexistent/b"}},
		"PYTHON variables": {env: []string{"PYTHONHASHSEED=7", "PYTHONOPTIMIZE=2", "PYTHONNOUSERSITE=1", "PYTHONWARNINGS=ignore", "PYTHONIOENCODING=latin-1:replace", "PYTHONUNBUFFERED=1"}},
		"-X, -W and -O":    {args: []string{"-Xutf8=1", "-X mine=yes", "-W error::UserWarning", "-O"}},
		"-X dev":           {args: []string{"-X dev"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{}
			for _, a := range row.args {
				args = append(args, "--python-arg="+a)
			}
			s := start(t, "sysinfo", options{args: args, env: row.env})
			got := getJSON[map[string]any](t, s, "/")
			c := command()
			own := exec.Command(filepath.Join(python.venv, "bin", "python"), append(strings.Fields(strings.Join(row.args, " ")), filepath.Join(appDir("sysinfo"), "wsgi.py"))...)
			own.Env = append(c.Env, row.env...)
			out, err := own.Output()
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal(out, &want); err != nil {
				t.Fatal(err)
			}
			for k := range want {
				if d := cmp.Diff(want[k], got[k]); d != "" {
					t.Errorf("%s (-own +server):\n%s", k, d)
				}
			}
		})
	}
}

func TestTheBundledCPythonServesWhereThereIsNoOther(t *testing.T) {
	t.Parallel()
	if !python.bundled {
		t.Skip("the binary under test has no CPython of its own: GOWSGI_TEST_BUNDLED names one for the matrix")
	}
	c := command("check", "--chdir", appDir("hello"), "wsgi")
	c.Env = append(c.Env, "PATH=/nonexistent")
	if out, code := runToEnd(t, c); code != 0 || !strings.Contains(out, python.version) {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
