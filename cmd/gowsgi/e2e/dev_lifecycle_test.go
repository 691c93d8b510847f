package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// devStarting starts gowsgi dev in a folder. What is returned besides tells when it listens; until then only its files and its log may be used.
func devStarting(t *testing.T, dir string) (p *devProject, listens <-chan error) {
	t.Helper()
	s, err := newServer("dev", options{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.run(dir, append([]string{"dev", "--port", "0"}, python.args...)) }()
	return &devProject{s, t, dir}, done
}

// listening waits until a server of devStarting listens.
func (p *devProject) listening(listens <-chan error) {
	p.t.Helper()
	if err := <-listens; err != nil {
		p.t.Fatal(err)
	}
	p.stopAtEnd(p.t)
}

// stuck is a module whose first import says so by a file, and does not end; the next ends.
func stuck(started, then string) string {
	return fmt.Sprintf("import os, time\nif not os.path.exists(%q):\n    open(%[1]q, 'w').close()\n    time.sleep(1000)\n%s\n", started, then)
}

func exists(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return err == nil }
}

func TestAChangeThatOvertakesAnotherDoesNotUndoIt(t *testing.T) {
	t.Parallel()
	dir := flaskProject(t)
	save(t, filepath.Join(dir, "static/style.css"), "body {}\n")
	p := dev(t, dir, options{})
	p.until("/", "first")
	started, _ := gate(t)
	p.save("words.py", stuck(started, "GREETING = 'second'"))
	eventually(t, "the new code is imported", exists(started))
	p.save("static/style.css", "body {color: red}\n") // by itself it would load no code
	p.until("/", "second")
}

func TestAWrongFileThatOvertakesAChangeIsSaid(t *testing.T) {
	t.Parallel()
	p := dev(t, flaskProject(t), options{})
	p.until("/", "first")
	started, _ := gate(t)
	p.save("words.py", stuck(started, "GREETING = 'second'"))
	eventually(t, "the new code is imported", exists(started))
	p.save("gowsgi.toml", "nonsense = 1\n")
	p.waitLog(t, "nonsense")
	p.until("/", "first")
	p.save("gowsgi.toml", "")
	p.until("/", "second")
}

func TestSavesDuringTheFirstImportCostNoTimeAndNoErrors(t *testing.T) {
	t.Parallel()
	const saves = 6 // twice the time after each would be too long
	dir := flaskProject(t)
	started, _ := gate(t)
	text := func(n int) string { return stuck(started+strconv.Itoa(n), fmt.Sprintf("GREETING = 'save %d'", n)) }
	save(t, filepath.Join(dir, "words.py"), text(0))
	p, listens := devStarting(t, dir)
	for n := range saves {
		eventually(t, fmt.Sprintf("import %d", n), exists(started+strconv.Itoa(n)))
		if n+1 == saves {
			save(t, started+strconv.Itoa(saves), "")
		}
		p.save("words.py", text(n+1))
	}
	p.listening(listens)
	p.until("/", fmt.Sprintf("save %d", saves))
	if p.countLog("error") > 0 {
		t.Error(p.tail(40))
	}
}

func TestAFailedPostforkFunctionIsShown(t *testing.T) {
	t.Parallel()
	dir := flaskProject(t)
	const bad = "import gowsgi\n\n\n@gowsgi.postfork\ndef f():\n    raise KeyError('of postfork')\n\n\nGREETING = 'first'\n"
	save(t, filepath.Join(dir, "words.py"), bad)
	p := dev(t, dir, options{})
	p.until("/", "of postfork")
	p.save("words.py", "GREETING = 'mended'\n")
	p.until("/", "mended")
	p.save("words.py", bad)
	p.until("/", "of postfork")
}

// template is the pid of the template process, 0 where there is none.
func (s *server) template() int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.cmd.Process.Pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, field := range strings.Fields(string(b)) {
			name, _ := os.ReadFile("/proc/" + field + "/cmdline")
			if pid, err := strconv.Atoi(field); err == nil && strings.HasPrefix(string(name), "gowsgi: template") {
				return pid
			}
		}
	}
	return 0
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestAWorkerOrATemplateThatIsKilledIsReplaced(t *testing.T) {
	t.Parallel()
	p := dev(t, flaskProject(t), options{})
	p.until("/", "first")
	for i := range 3 {
		eventually(t, "a template", func() bool { return p.template() != 0 })
		kill(t, p.template())
		p.save("words.py", fmt.Sprintf("GREETING = 'save %d'\n", i)) // before there is another template
		p.until("/", fmt.Sprintf("save %d", i))
		for _, pid := range p.workers() {
			kill(t, pid)
		}
		eventually(t, "another worker", func() bool { status, _, err := p.ask("/"); return err == nil && status == 200 })
	}
}

func TestNothingOutlivesADevelopmentServerThatIsKilled(t *testing.T) {
	t.Parallel()
	dir := flaskProject(t)
	p := dev(t, dir, options{signal: -1, crash: true})
	p.until("/", "first")
	started, _ := gate(t)
	p.save("words.py", stuck(started, ""))
	eventually(t, "a worker that imports, besides", exists(started))
	kill(t, p.cmd.Process.Pid)
	<-p.exited // what is left then is found at the test's end
}

func TestReloadsLeaveNothingInTheMaster(t *testing.T) {
	t.Parallel()
	p := dev(t, flaskProject(t), options{})
	p.until("/", "first")
	count := func(what string) int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, what))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	reloads := func(from, to int) {
		for i := from; i < to; i++ {
			p.save("words.py", fmt.Sprintf("GREETING = 'save %d.'\n", i))
			p.until("/", fmt.Sprintf("save %d.", i))
		}
		eventually(t, "the old workers are gone", func() bool { return len(p.workers()) == 1 })
	}
	reloads(0, 5)
	fds, threads := count("fd"), count("task")
	reloads(5, 25)
	eventually(t, "as many descriptors as before", func() bool { return count("fd") <= fds })
	if now := count("task"); now > threads+10 { // Go starts one where others wait in the kernel
		t.Errorf("%d threads, %d before", now, threads)
	}
}

func TestASignalToAllProcessesEndsThemQuietlyAtAnyMoment(t *testing.T) {
	t.Parallel()
	for i, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM} {
		// Master, template and worker are one group, as they are in a terminal.
		c := command(append([]string{"dev", "--port", "0"}, python.args...)...)
		c.Dir = flaskProject(t)
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		var out strings.Builder
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		pid := c.Process.Pid
		// The more of them there are, the later the moment. Before it takes signals, any program ends by them.
		if !within(20*time.Second, func() bool { return len(sessionProcesses(pid)) > 1+i/2%2 }) {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			t.Fatalf("the processes do not come: %v", c.Wait())
		}
		if err := syscall.Kill(-pid, sig); err != nil {
			t.Fatal(err)
		}
		over := time.AfterFunc(30*time.Second, func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })
		err := c.Wait()
		over.Stop()
		if err != nil || out.Len() > 0 && !strings.HasPrefix(out.String(), "info: Flask") {
			t.Errorf("%v %d: %v\n%s", sig, i, err, out.String())
		}
		eventually(t, "nothing is left", func() bool { return len(sessionProcesses(pid)) == 0 })
	}
}
