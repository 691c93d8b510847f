package e2e

import (
	"archive/zip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRepeatedQueriesOfADjangoViewAreNamedInTheLog(t *testing.T) {
	t.Parallel()
	dir := djangoProject(t)
	save(t, filepath.Join(dir, "polls/views.py"), `from django.contrib.auth.models import User
from django.http import HttpResponse


def index(request):
    for n in range(20):
        User.objects.filter(pk=n).first()
    return HttpResponse("asked")


def fail(request):
    User.objects.count()
    return HttpResponse("asked once")
`)
	runPython(t, dir, "manage.py", "migrate")
	p := dev(t, dir, options{})
	p.until("/fail", "asked once")
	p.until("/", "asked")
	line := p.waitLog(t, "20 x SELECT")
	if !strings.Contains(line, "auth_user") {
		t.Errorf("%q", line)
	}
	if n := p.countLog("auth_user"); n != 1 {
		t.Errorf("%d lines on queries", n)
	}
}

func TestFlasksOwnSettingsAreFollowed(t *testing.T) {
	t.Parallel()
	const app = "import os\nfrom flask import Flask\napp = Flask(__name__)\n@app.route('/')\ndef index():\n    return %q + os.environ.get('WORD', 'none')\n"
	dir := projectOf(t, "one.py", fmt.Sprintf(app, "one "), "two.py", fmt.Sprintf(app, "two "), ".flaskenv", "FLASK_APP=one\nWORD=a\n")
	p := dev(t, dir, options{})
	p.until("/", "one a")
	p.save(".flaskenv", "FLASK_APP=two\nWORD=a\n")
	p.until("/", "two a")
	p.save(".env", "WORD=b\n")
	p.until("/", "two b")
	p.save(".env", "\n")
	p.until("/", "two a")
	p.save(".flaskenv", "FLASK_APP=one\n")
	p.until("/", "one none")
	p.save("two.py", "1/0\n")
	p.save(".flaskenv", "FLASK_APP=two\n")
	p.until("/", "ZeroDivisionError")
	p.save(".flaskenv", "FLASK_APP=one\n")
	p.until("/", "one none")
}

// virtualenv is one of its own that has the packages of the tests' too.
func virtualenv(t testing.TB) string {
	t.Helper()
	own := filepath.Join(t.TempDir(), "venv")
	python := filepath.Join(python.venv, "bin", "python")
	if out, err := exec.Command(python, "-m", "venv", "--without-pip", own).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	shared, err := exec.Command(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages, _ := filepath.Glob(filepath.Join(own, "lib/python3*/site-packages"))
	if len(packages) != 1 {
		t.Fatal(packages)
	}
	save(t, filepath.Join(packages[0], "shared.pth"), string(shared))
	return own
}

// pipInstall makes a wheel of a module and has pip install it into a virtualenv.
func pipInstall(t testing.TB, venv, name, version, text string) {
	t.Helper()
	wheel := filepath.Join(t.TempDir(), name+"-"+version+"-py3-none-any.whl")
	f, err := os.Create(wheel)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	info := name + "-" + version + ".dist-info/"
	for _, file := range [][2]string{
		{name + "/__init__.py", text},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", name + "/__init__.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	} {
		w, err := z.Create(file[0])
		if err == nil {
			_, err = w.Write([]byte(file[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(filepath.Join(python.venv, "bin", "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", "--no-deps",
		"--ignore-installed", "--prefix", venv, wheel)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestAPackageThatIsInstalledMeanwhileIsLoaded(t *testing.T) {
	t.Parallel()
	venv := virtualenv(t)
	dir := projectOf(t, "app.py", "import lacking\nfrom flask import Flask\napp = Flask(__name__)\n@app.route('/')\ndef index():\n    return lacking.WORD\n")
	p := devWithoutPython(t, dir, "--python", venv)
	p.until("/", "ModuleNotFoundError", "Accept", "text/html")
	pipInstall(t, venv, "lacking", "1", "WORD = 'there now'\n")
	p.until("/", "there now")
}

func TestAFolderMayHaveAnyName(t *testing.T) {
	t.Parallel()
	for name, project := range map[string]func() string{
		"flask": func() string { return flaskProject(t) }, "django": func() string { return djangoProject(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "Mes projets à moi", "été 100% #1 'x' ünï 日本")
			if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(project(), dir); err != nil {
				t.Fatal(err)
			}
			p := dev(t, dir, options{})
			if name == "flask" {
				p.until("/", "first")
				p.edit("words.py", "first", "second")
				p.until("/", "second")
				p.until("/page", "page one")
				p.edit("templates/page.html", "one", "two")
				p.until("/page", "page two")
				p.until("/fail", "été 100% #1 &#x27;x&#x27; ünï 日本", "Accept", "text/html")
				return
			}
			p.until("/", "version one")
			p.edit("polls/views.py", "one", "two")
			p.until("/", "version two")
			p.until("/static/polls/style.css", "body {}")
		})
	}
}

func TestAProjectBehindASymbolicLinkIsFollowed(t *testing.T) {
	t.Parallel()
	real := flaskProject(t)
	link := filepath.Join(t.TempDir(), "current")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	p := dev(t, link, options{env: []string{"PWD=" + link}}) // as a shell has it
	p.until("/", "first")
	p.save("words.py", "GREETING = 'by the link'\n")
	p.until("/", "by the link")
	save(t, filepath.Join(real, "words.py"), "GREETING = 'by its name'\n")
	p.until("/", "by its name")
	p.until("/page", "page one")
	p.edit("templates/page.html", "one", "two")
	p.until("/page", "page two")
}

// git runs git in a folder.
func git(t testing.TB, dir string, args ...string) {
	t.Helper()
	c := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"}, args...)...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// manyModules is a project whose app imports n modules, in packages of a hundred, and says what they say.
func manyModules(t testing.TB, dir string, n int, word string) {
	t.Helper()
	var imports strings.Builder
	for i := range n {
		pkg := fmt.Sprintf("pkg%d", i/100)
		if i%100 == 0 {
			save(t, filepath.Join(dir, pkg, "__init__.py"), "")
		}
		save(t, filepath.Join(dir, pkg, fmt.Sprintf("m%d.py", i)), fmt.Sprintf("WORD = %q\n", word))
		fmt.Fprintf(&imports, "import %s.m%d\nwords.add(%s.m%d.WORD)\n", pkg, i, pkg, i)
	}
	save(t, filepath.Join(dir, "app.py"), "words = set()\n"+imports.String()+`

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(sorted(words)).encode()]
`)
}

func TestACheckoutOfAnotherBranchIsServedWhole(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	git(t, dir, "init", "-q")
	for _, branch := range []string{"main", "other"} {
		git(t, dir, "checkout", "-q", "-B", branch)
		manyModules(t, dir, 1000, branch)
		git(t, dir, "add", ".")
		git(t, dir, "commit", "-qm", branch)
	}
	git(t, dir, "checkout", "-q", "main")
	p := dev(t, dir, options{})
	p.until("/", "main")
	over := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			if _, _, err := p.ask("/"); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for _, branch := range []string{"other", "main"} {
		git(t, dir, "checkout", "-q", branch)
		eventually(t, "the branch "+branch+" is served", func() bool {
			status, body, err := p.ask("/")
			return err == nil && status == 200 && body == branch
		})
	}
	close(over)
	asking.Wait()
}

func TestALargeProjectCostsNothingAtRest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	manyModules(t, dir, 2000, "here")
	p := dev(t, dir, options{})
	p.until("/", "here")
	processes := func() (pids []int) {
		for _, line := range sessionProcesses(p.cmd.Process.Pid) {
			pid, err := strconv.Atoi(strings.Fields(line)[0])
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		return pids
	}
	eventually(t, "there are master, template and worker", func() bool { return len(processes()) == 3 })
	used := func() (ticks int) {
		for _, pid := range processes() {
			ticks += cpuTicks(t, pid)
		}
		return ticks
	}
	files := 0
	for _, pid := range processes() {
		files += openFiles(t, pid)
	}
	if files >= 100 {
		t.Errorf("%d descriptors", files)
	}
	// Some work is left from the start.
	const span, most = 4 * time.Second, 2 // hundredths of a second: 0.5 %
	least := 1 << 30
	within(20*time.Second, func() bool {
		before := used()
		time.Sleep(span)
		least = min(least, used()-before)
		return least <= most
	})
	if least > most {
		t.Errorf("%d hundredths of a second of CPU in %v", least, span)
	}
}

// cpuTicks are the hundredths of a second that a process has computed.
func cpuTicks(t testing.TB, pid int) (n int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b)[strings.LastIndex(string(b), ")")+1:])
	for _, f := range fields[11:13] { // utime and stime
		v, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		n += v
	}
	return n
}
