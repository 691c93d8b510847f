package pidfile

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	childVariable = "PIDFILE_TEST_CHILD"
	dropVariable  = "PIDFILE_TEST_DROP" // the child gives up its rights and removes the file
)

// TestMain runs this program as another server, where a test asks for it: it writes the file and lives until its input ends.
func TestMain(m *testing.M) {
	path := os.Getenv(childVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	f, err := Write(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if os.Getenv(dropVariable) != "" {
		if os.Getuid() == 0 {
			err = syscall.Setuid(12345)
		}
		fmt.Println("removed:", errors.Join(err, f.Remove()))
		return
	}
	fmt.Println("written")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

type other struct {
	pid  int
	says string
	kill func()
}

func startOther(t *testing.T, path string, env ...string) other {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), append(env, childVariable+"="+path)...)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	end := time.AfterFunc(60*time.Second, func() { _ = c.Process.Kill() })
	kill := sync.OnceFunc(func() {
		end.Stop()
		_ = c.Process.Kill()
		_ = c.Wait()
		in.Close()
	})
	t.Cleanup(kill)
	says, _ := bufio.NewReader(out).ReadString('\n')
	return other{c.Process.Pid, strings.TrimSpace(says), kill}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mine() string { return strconv.Itoa(os.Getpid()) + "\n" }

// only fails where the folder holds more than the file.
func only(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

func TestTheFileHasTheNumberAndIsGoneAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.pid")
	f, err := Write(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != mine() {
		t.Errorf("%q", got)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v; others must be able to read it", st.Mode(), err)
	}
	only(t, path)
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestAFileThatALivingServerHoldsIsRefusedWithItsNumber(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.pid")
	o := startOther(t, path)
	if o.says != "written" {
		t.Fatal(o.says)
	}
	_, err := Write(path)
	want := fmt.Sprintf("can't write the pid file %s: a server that runs holds it (process %d): stop that one, or choose another --pid-file", path, o.pid)
	if err == nil || err.Error() != want {
		t.Errorf("%v, expected %s", err, want)
	}
	if got := content(t, path); got != strconv.Itoa(o.pid)+"\n" {
		t.Errorf("its content is %q now", got)
	}
	only(t, path)
}

func TestAFileThatAKilledServerLeftIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.pid")
	o := startOther(t, path)
	o.kill()
	if got := content(t, path); got != strconv.Itoa(o.pid)+"\n" {
		t.Fatalf("a killed server leaves %q", got)
	}
	f, err := Write(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Remove()
	if got := content(t, path); got != mine() {
		t.Errorf("%q", got)
	}
	only(t, path)
}

// The number alone would say that a server runs: process 1 does.
func TestAStaleNumberThatIsAnotherProcessNowDoesNoHarm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.pid")
	if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Write(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
}

func TestSomebodysFileIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	text, link, fifo := filepath.Join(dir, "notes"), filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	if err := os.WriteFile(text, []byte("dear diary"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(text, link); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("mkfifo", fifo).Run(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, link, fifo, dir} {
		if _, err := Write(path); err == nil {
			t.Errorf("%s was taken", path)
		}
	}
	if got := content(t, text); got != "dear diary" {
		t.Errorf("%q", got)
	}
}

func TestRemoveLeavesTheFileOfAnotherServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.pid")
	f, err := Write(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	o := startOther(t, path)
	if o.says != "written" {
		t.Fatal(o.says)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if got := content(t, path); got != strconv.Itoa(o.pid)+"\n" {
		t.Errorf("%q", got)
	}
}

func TestOfServersThatStartAtOnceOneGetsTheFile(t *testing.T) {
	for name, before := range map[string]func(path string) error{
		"none": func(string) error { return nil },
		"old":  func(path string) error { return os.WriteFile(path, []byte("1\n"), 0o644) },
	} {
		path := filepath.Join(t.TempDir(), "p.pid")
		if err := before(path); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		files, errs := make(chan *File, 20), make(chan error, 20)
		for range 20 {
			all.Go(func() {
				f, err := Write(path)
				if err != nil {
					errs <- err
					return
				}
				files <- f
			})
		}
		all.Wait()
		if len(files) != 1 {
			t.Errorf("%s: %d of 20 got the file", name, len(files))
		}
		for len(errs) > 0 {
			if err := <-errs; !strings.Contains(err.Error(), "holds it") {
				t.Errorf("%s: %v", name, err)
			}
		}
		only(t, path)
	}
}

func TestAProgramThatTheServerStartsDoesNotHoldTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.pid")
	f, err := Write(path)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("cat")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	f.f.Close() // as the end of the server does
	again, err := Write(path)
	if err != nil {
		t.Error(err)
	} else {
		again.Remove()
	}
	in.Close()
	_ = c.Wait()
}

// The server became another user, who may not remove files of that folder.
func TestAFileThatMayNotBeRemovedIsLeftEmptyAndTakenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.pid")
	o := startOther(t, path, dropVariable+"=1")
	if o.says != "removed: <nil>" {
		t.Error(o.says)
	}
	if os.Getuid() == 0 { // else the child could remove it
		if got := content(t, path); got != "" {
			t.Errorf("%q", got)
		}
	}
	f, err := Write(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
}
