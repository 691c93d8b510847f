package e2e

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

func TestWithoutTheirMasterWorkersFinishWhatTheyHoldAndANewMasterBindsAtOnce(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, options{crash: true})
	file, open := gate(t)
	var inHand []*client
	for range 4 {
		c := d.dial(t)
		c.request("GET", "/block?"+file, "")
		inHand = append(inHand, c)
	}
	d.waitLogs(t, "blocked "+file, 4)
	workers := d.workers()
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-d.exited
	next := runServer(t, "traffic", command(append([]string{
		"serve", "--bind", d.addr, "--chdir", d.folder, "--control-socket", d.control, "--workers", "2", "wsgi"}, python.args...)...))
	next.listening(t)
	if r, _ := next.get(t, "/short"); r.status != 200 {
		t.Errorf("the new server: %d", r.status)
	}
	open()
	for _, c := range inHand {
		if r := c.head("GET"); r.status != 200 || r.body() != "short" {
			t.Errorf("a request in hand: %d", r.status)
		}
		c.Close()
	}
	for _, pid := range workers {
		ends(t, pid, 20*time.Second)
	}
	for range 20 { // nobody of the old server takes a connection
		if r, _ := next.get(t, "/short"); r.status != 200 {
			t.Errorf("the new server: %d", r.status)
		}
	}
}

func TestWorkersThatAreStillStartingEndWithTheirMaster(t *testing.T) {
	t.Parallel()
	dir := copyOf(t, "traffic")
	marker := filepath.Join(dir, "imported")
	write(t, filepath.Join(dir, "release.py"), "import time\nopen('"+marker+"', 'w').close()\ntime.sleep(60)\n")
	s := runServer(t, "traffic", command(append([]string{"serve", "--bind", "127.0.0.1:0", "--chdir", dir, "--control-socket", filepath.Join(dir, "c"),
		"--workers", "2", "wsgi"}, python.args...)...))
	s.opts.crash = true
	eventually(t, "a worker imports", func() bool { _, err := os.Stat(marker); return err == nil })
	workers := s.workers()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range workers {
		ends(t, pid, 10*time.Second)
	}
}

func TestAServerThatIsToldToEndWhileItImportsEndsAtOnce(t *testing.T) {
	t.Parallel()
	dir := copyOf(t, "traffic")
	marker := filepath.Join(dir, "imported")
	write(t, filepath.Join(dir, "release.py"), "import time\nopen('"+marker+"', 'w').close()\ntime.sleep(60)\n")
	s := runServer(t, "traffic", command(append([]string{"serve", "--bind", "127.0.0.1:0", "--chdir", dir, "--control-socket", filepath.Join(dir, "c"),
		"--workers", "2", "wsgi"}, python.args...)...))
	eventually(t, "a worker imports", func() bool { _, err := os.Stat(marker); return err == nil })
	began := time.Now()
	s.signal(t, syscall.SIGTERM)
	if code := s.waitExit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the end took %v", took)
	}
}

func TestRotatedLogsLoseNoLine(t *testing.T) {
	t.Parallel()
	dir := copyOf(t, "blocks")
	log := filepath.Join(dir, "log")
	s := runServer(t, "blocks", command(append([]string{"serve", "--bind", "127.0.0.1:0", "--chdir", dir, "--control-socket", filepath.Join(dir, "c"),
		"--workers", "2", "--log-file", log, "wsgi"}, python.args...)...))
	all := func() (text string) {
		files, _ := filepath.Glob(log + "*")
		for _, f := range files {
			b, _ := os.ReadFile(f)
			text += string(b)
		}
		return text
	}
	eventually(t, "it serves", func() bool { return listening.MatchString(all()) })
	s.at(listening.FindString(all()))
	gate := filepath.Join(dir, "wsgi.py") // is there: no request waits
	const requests = 300
	for n := range requests {
		s.getOK(t, "/block?"+gate)
		if n%50 == 49 {
			if err := os.Rename(log, log+itoa(n)); err != nil {
				t.Fatal(err)
			}
			s.signal(t, syscall.SIGUSR1)
			eventually(t, "the new file", func() bool { _, err := os.Stat(log); return err == nil })
		}
	}
	line := regexp.MustCompile(`(?m)^time=\S+ level=\w+ msg="blocked ` + regexp.QuoteMeta(gate) + `" worker=\d$`)
	eventually(t, "all lines are in one of the files, and whole", func() bool { return len(line.FindAllString(all(), -1)) == requests })
}

func TestConnectionsThatArriveBetweenTwoMastersOfSystemdsSocketAreAnswered(t *testing.T) {
	t.Parallel()
	dir := copyOf(t, "traffic")
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	begin := func() *server {
		c := through("LISTEN_PID=$$", append([]string{"serve", "--chdir", dir, "--control-socket", filepath.Join(dir, "c"), "--workers", "2", "wsgi"}, python.args...)...)
		c.Env = append(c.Env, "LISTEN_FDS=1")
		c.ExtraFiles = []*os.File{f}
		s := runServer(t, "traffic", c)
		s.listening(t)
		return s
	}
	for range 3 {
		s := begin()
		s.getOK(t, "/short")
		s.signal(t, syscall.SIGTERM)
		s.waitExit(t)
		var between []*client
		for range 5 {
			c := s.dial(t)
			c.request("GET", "/short", "")
			between = append(between, c)
		}
		next := begin()
		for _, c := range between {
			if r := c.head("GET"); r.status != 200 || r.body() != "short" {
				t.Errorf("a request between two masters: %d", r.status)
			}
		}
		next.signal(t, syscall.SIGTERM)
		next.waitExit(t)
	}
}
