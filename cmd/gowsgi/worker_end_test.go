package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestALogThatCanNotBeWrittenDoesNotKeepASignalFromEndingTheServer(t *testing.T) {
	py, dir := python(t), siteDir(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	c := command("serve", "--python", py.Executable, "--chdir", dir, "--bind", "127.0.0.1:0", "site_app")
	c.Stderr = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Wait()
		close(ended)
	}()
	defer func() {
		_ = c.Process.Kill()
		<-ended
	}()
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || !strings.Contains(line, "serving") {
		t.Fatal(line, err)
	}
	const getPipeSize = 1032 // F_GETPIPE_SZ, see fcntl(2)
	size, _, errno := syscall.Syscall(syscall.SYS_FCNTL, w.Fd(), getPipeSize, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	if _, err := w.Write(make([]byte, size)); err != nil { // the reader sleeps from now on
		t.Fatal(err)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		if code := c.ProcessState.ExitCode(); code != exitFine {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(time.Minute): // at the graceful timeout, 30 s, the worker is killed: another exit code
		t.Error("the server is still there")
	}
}

func TestASignalEndsTheServerWhileATemplateIsBeingImported(t *testing.T) {
	py, dir := python(t), siteDir(t)
	began := filepath.Join(dir, "began")
	app := "import time\nopen('began', 'w').close()\ntime.sleep(3600)\n"
	if err := os.WriteFile(filepath.Join(dir, "hanging.py"), []byte(app), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		p := startServe(t, command("serve", "--preload", "--python", py.Executable, "--chdir", dir, "--bind", "127.0.0.1:0", "hanging"))
		p.wait(t, "the import has begun", func() bool {
			_, err := os.Stat(began)
			return err == nil
		})
		p.signal(t, sig)
		if code := p.code(t); code != exitFine {
			t.Errorf("%v: exit code %d", sig, code)
		}
		_ = os.Remove(began)
	}
}
