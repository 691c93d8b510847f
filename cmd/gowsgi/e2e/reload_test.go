package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTwentyReloadsUnderLoadFailNoRequest(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"without preload": nil, "with preload": {"--preload"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, 2, options{args: args})
			load := d.load(t)
			for n := range 20 {
				name := "release " + strconv.Itoa(n)
				d.release(t, name)
				d.reloadOK(t)
				d.answersFrom(t, name)
			}
			load.endWithout(t)
		})
	}
}

func TestAReloadThatCannotBeDoneLeavesTheOldCodeAndSaysWhy(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "gowsgi.toml")
	write(t, config, "health-path = \"/health\"\n")
	d := deploy(t, 2, options{args: []string{"--config", config, "--start-timeout", "15s"}})
	code := filepath.Join(d.folder, "release.py")
	load := d.load(t)
	for _, row := range []struct {
		path, text string
		exit       int
		want       []string
	}{
		{code, "NAME = = 1\n", 4, []string{"release.py", "line 1", "SyntaxError"}},
		{code, "import nowhere_to_be_found\n", 4, []string{"release.py", "line 1", "nowhere_to_be_found"}},
		{code, "NAME, HEALTH = 'sick', '500 Internal Server Error'\n", 4, []string{"/health", "500 Internal Server Error"}},
		{code, "NAME = 'dead'\nimport os\nos._exit(1)\n", 1, []string{"ended while it was starting", "exit status 1"}},
		{code, "NAME = 'slow'\nimport time\ntime.sleep(60)\n", 1, []string{"did not start within 15s"}},
		{config, "health-pth = \"/health\"\n", 2, []string{"gowsgi.toml", "health-pth", "health-path"}},
		{config, "health-path = \"/health\"\nmax-requests = -1\n", 2, []string{"max-requests"}},
	} {
		before, err := os.ReadFile(row.path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, row.path, row.text)
		logged := len(d.log.all())
		out, exit := d.reload(t)
		if exit != row.exit {
			t.Errorf("%q: exit code %d, expected %d", row.text, exit, row.exit)
		}
		for _, want := range row.want {
			if !strings.Contains(out, want) {
				t.Errorf("%q: no %q in what gowsgi reload says:\n%s", row.text, want, out)
			}
			eventually(t, want+" is in the log", func() bool { return strings.Contains(strings.Join(d.log.all()[logged:], "\n"), want) })
		}
		d.answersFrom(t, "first")
		write(t, row.path, string(before))
	}
	d.release(t, "second")
	d.reloadOK(t)
	d.answersFrom(t, "second")
	load.endWithout(t)
}

func TestSIGHUPReloadsToo(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, options{})
	d.release(t, "second")
	d.signal(t, syscall.SIGHUP)
	d.waitLog(t, "msg=reloaded")
	d.answersFrom(t, "second")
	write(t, filepath.Join(d.folder, "release.py"), "NAME = = 1\n")
	d.signal(t, syscall.SIGHUP)
	d.waitLog(t, "SyntaxError")
	d.answersFrom(t, "second")
}

func TestAReloadBesideAnotherServesWhatWasThereWhenItWasAskedFor(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, options{})
	marker := filepath.Join(d.folder, "imported")
	write(t, filepath.Join(d.folder, "release.py"),
		"import time\nNAME, HEALTH = 'second', '200 OK'\nopen('"+marker+"', 'w').close()\ntime.sleep(0.3)\n")
	first := make(chan int)
	go func() {
		_, code := d.reload(t)
		first <- code
	}()
	eventually(t, "the first reload imports", func() bool { _, err := os.Stat(marker); return err == nil })
	d.release(t, "third")
	d.reloadOK(t)
	if code := <-first; code != 0 {
		t.Errorf("the first reload: %d", code)
	}
	for range 20 {
		d.answersFrom(t, "third")
	}
}

func TestAReloadTakesTheSettingsThatAreThereNow(t *testing.T) {
	t.Parallel()
	dir := copyOf(t, "traffic")
	config := filepath.Join(t.TempDir(), "gowsgi.toml")
	write(t, config, "workers = 1\nthreads = 2\n")
	control := filepath.Join(dir, "control.sock")
	s := runServer(t, "traffic", command(append([]string{
		"serve", "--bind", "127.0.0.1:0", "--config", config, "--chdir", dir, "--control-socket", control, "wsgi"}, python.args...)...))
	s.listening(t)
	write(t, config, "workers = 3\nthreads = 2\n")
	if out, code := runToEnd(t, command("reload", "--control-socket", control)); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	s.waitServing(t, 3)
}

func TestAReloadFollowsALinkToTheNewReleasesFolder(t *testing.T) {
	t.Parallel()
	first, second, link := copyOf(t, "traffic"), copyOf(t, "traffic"), filepath.Join(t.TempDir(), "current")
	if err := os.Symlink(first, link); err != nil {
		t.Fatal(err)
	}
	d := deploy(t, 2, options{args: []string{"--chdir", link}})
	d.folder = second
	d.release(t, "second")
	d.answersFrom(t, "first")
	if err := os.Symlink(second, link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(first); err != nil { // old releases are removed some day
		t.Fatal(err)
	}
	d.reloadOK(t)
	d.answersFrom(t, "second")
}

func TestGowsgiReloadFindsTheServerByItsAddressAndSaysWhereItLooked(t *testing.T) {
	t.Parallel()
	runtime := copyOf(t, "hello")
	s := start(t, "hello", options{env: []string{"XDG_RUNTIME_DIR=" + runtime}})
	c := command("reload", "--bind", s.addr)
	c.Env = append(c.Env, "XDG_RUNTIME_DIR="+runtime)
	if out, code := runToEnd(t, c); code != 0 {
		t.Errorf("%d %s", code, out)
	}
	c = command("reload", "--bind", "127.0.0.1:1")
	c.Env = append(c.Env, "XDG_RUNTIME_DIR="+runtime)
	if out, code := runToEnd(t, c); code == 0 || !strings.Contains(out, filepath.Join(runtime, "gowsgi", "127.0.0.1:1.sock")) {
		t.Errorf("%d %s", code, out)
	}
	if st, err := os.Stat(filepath.Join(runtime, "gowsgi", s.addr+".sock")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the control socket: %v, %v", st, err)
	}
}

func TestRequestsInHandOfAReloadFinish(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, options{})
	file, open := gate(t)
	c := d.dial(t)
	c.request("GET", "/block?"+file, "")
	d.waitLog(t, "blocked "+file)
	old := d.workers()[0]
	d.release(t, "second")
	d.reloadOK(t)
	if gone(old) {
		t.Fatal("the old worker ended with a request in hand")
	}
	open()
	if r := c.head("GET"); r.status != 200 || r.body() != "short" || r.value("X-Release") != "first" {
		t.Errorf("the request in hand: %d", r.status)
	}
	c.Close()
	ends(t, old, 20*time.Second)
}

func TestRequestsInHandOfAReloadAreCutAfterTheGracefulTimeoutAndNamed(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, options{args: []string{"--graceful-timeout", "1s"}})
	file, open := gate(t)
	defer open()
	c := d.dial(t)
	c.request("GET", "/block?"+file, "")
	d.waitLog(t, "blocked "+file)
	old := d.workers()[0]
	d.reloadOK(t)
	ends(t, old, 20*time.Second)
	if r, err := c.tryHead("GET"); err == nil {
		t.Errorf("a request that never ends got %d", r.status)
	}
	d.waitLog(t, "GET /block?"+file)
}

func TestIdleConnectionsGoOnWithTheNewCodeAfterAReload(t *testing.T) {
	t.Parallel()
	for _, unix := range []bool{false, true} {
		d := deploy(t, 2, options{unix: unix})
		var idle []*client
		for n := range 200 {
			c := d.dial(t)
			if n%2 == 0 { // the others have not sent anything yet
				c.usable("/short")
			}
			idle = append(idle, c)
		}
		half := d.dial(t) // a request of which the half is there is finished where it began
		half.send("GET /short HTTP/1.1\r\nHost: exam")
		d.release(t, "second")
		old := d.workers()
		d.reloadOK(t)
		before, same := 0, 0
		eventually(t, "the old workers have given their connections away", func() bool {
			now, most := 0, 0
			for _, pid := range old {
				n := socketsOf(itoa(pid))
				now, most = now+n, max(most, n)
			}
			if same++; now != before {
				before, same = now, 0
			}
			return most <= 50 && same >= 40
		})
		for n, c := range idle {
			if r := c.do("GET", "/short", ""); r.status != 200 || r.value("X-Release") != "second" || r.value("Connection") != "" {
				t.Fatalf("connection %d: %d from %q, Connection: %s", n, r.status, r.value("X-Release"), r.value("Connection"))
			} else {
				r.body()
			}
		}
		half.send("ple.org\r\n\r\n")
		if r := half.head("GET"); r.status != 200 || r.body() != "short" || r.value("Connection") != "close" {
			t.Errorf("half a request: %d", r.status)
		}
	}
}
