package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// withPackages is a project beside packages that are installed, and the variable that has Python find them.
func withPackages(t testing.TB, files ...string) (dir, env string) {
	root := projectOf(t, files...)
	return filepath.Join(root, "project"), "PYTHONPATH=" + filepath.Join(root, "site-packages")
}

const preloadingApp = `import os

os.environ["GREETING"] = "set by the project"
import plain, greeting, half.child, user

VERSION = "one"


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    preloaded = plain.PID != os.getpid()
    text = "%s preloaded=%s %s %s %s" % (VERSION, preloaded, greeting.TEXT, half.child.STATE, user.STATE)
    return [text.encode()]
`

func TestOnlyWhatIsTheSameForEachWorkerIsPreloaded(t *testing.T) {
	t.Parallel()
	dir, env := withPackages(t,
		"project/app.py", preloadingApp,
		"project/conf.py", "STATE = 'with the project'\n",
		"site-packages/plain.py", "import os\nPID = os.getpid()\n",
		"site-packages/greeting.py", "import os\nTEXT = os.environ.get('GREETING', 'not set')\n",
		// A package whose import fails leaves submodules that it does not know.
		"site-packages/half/__init__.py", "from half import child\nimport conf\n",
		"site-packages/half/child.py", "STATE = 'child'\n",
		"site-packages/user.py", "try:\n    from conf import STATE\nexcept ImportError:\n    STATE = 'without the project'\n",
	)
	p := dev(t, dir, options{args: []string{"app:application"}, env: []string{env}})
	const rest = " set by the project child with the project"
	p.until("/", "one preloaded=False"+rest)
	for version, body := "one", ""; !strings.Contains(body, "preloaded=True"); {
		next := version + "."
		p.edit("app.py", `"`+version+`"`, `"`+next+`"`)
		version = next
		body = p.until("/", version+" ")
		if !strings.Contains(body, rest) {
			t.Fatalf("%s", body)
		}
		if len(version) > 200 {
			t.Fatalf("nothing is preloaded\n%s", p.tail(40))
		}
	}
}
