package bundled

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// fakeUnpack makes a small tree and counts how often it did.
func fakeUnpack(t *testing.T, n *atomic.Int32) func(string) error {
	return func(dir string) error {
		n.Add(1)
		write(t, filepath.Join(dir, "bin/python3.14"), "#!program", 0o755)
		write(t, filepath.Join(dir, "lib/os.py"), "import sys", 0o644)
		return os.Symlink("python3.14", filepath.Join(dir, "bin/python3"))
	}
}

func cacheIn(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cäche")
	t.Setenv("XDG_CACHE_HOME", dir)
	return filepath.Join(dir, "gowsgi")
}

func TestTheTreeIsUnpackedOnceAndFilesAddedLaterAreNoDamage(t *testing.T) {
	cache := cacheIn(t)
	var n atomic.Int32
	for range 3 {
		dir, err := open("cpython-x", fakeUnpack(t, &n))
		if err != nil || dir != filepath.Join(cache, "cpython-x") {
			t.Fatal(dir, err)
		}
		write(t, filepath.Join(dir, "lib/__pycache__/os.pyc"), "x", 0o644)
	}
	if n.Load() != 1 {
		t.Errorf("unpacked %d times", n.Load())
	}
	left, err := os.ReadDir(cache)
	if err != nil || len(left) != 2 {
		t.Errorf("more than the tree and its lock: %v %v", left, err)
	}
}

func TestADamagedTreeIsNoticedAndMended(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(dir string) error
		byHash bool
	}{
		{"a file is gone", func(dir string) error { return os.Remove(dir + "/lib/os.py") }, false},
		{"a file is cut short", func(dir string) error { return os.Truncate(dir+"/lib/os.py", 3) }, false},
		{"a program lost its mode", func(dir string) error { return os.Chmod(dir+"/bin/python3.14", 0o644) }, false},
		{"a link is gone", func(dir string) error { return os.Remove(dir + "/bin/python3") }, false},
		{"the list is gone", func(dir string) error { return os.Remove(dir + "/" + listName) }, false},
		{"the list is cut short", func(dir string) error { return os.Truncate(dir+"/"+listName, 20) }, false},
		{"all is gone", os.RemoveAll, false},
		{"other bytes of the same number", func(dir string) error { return os.WriteFile(dir+"/lib/os.py", []byte("import abc"), 0o644) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cacheIn(t)
			var n atomic.Int32
			unpack := fakeUnpack(t, &n)
			dir, err := open("cpython-x", unpack)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.damage(dir); err != nil {
				t.Fatal(err)
			}
			tr, own := treeOf(dir+"/bin", "cpython-x", unpack)
			if !own {
				t.Fatal("not our own tree")
			}
			if c.byHash {
				mended, err := tr.verify()
				if err != nil || !mended {
					t.Errorf("mended %v, %v", mended, err)
				}
			} else if err := tr.ensure(); err != nil {
				t.Error(err)
			}
			if n.Load() != 2 || compareHashes(dir) != nil {
				t.Errorf("unpacked %d times; %v", n.Load(), compareHashes(dir))
			}
			if mended, err := tr.verify(); err != nil || mended {
				t.Errorf("a whole tree: mended %v, %v", mended, err)
			}
		})
	}
}

func TestAnotherHomeIsNotOurs(t *testing.T) {
	cache := cacheIn(t)
	for home, want := range map[string]bool{
		cache + "/cpython-x/bin": true, cache + "/../gowsgi/cpython-x/bin/": true,
		cache + "/cpython-y/bin": false, "/usr/bin": false, "/elsewhere/cpython-x/bin": false, "": false,
	} {
		if _, own := treeOf(home, "cpython-x", nil); own != want {
			t.Errorf("%q: %v", home, own)
		}
	}
}

func TestAFailedUnpackLeavesNothingThatLooksWhole(t *testing.T) {
	cache := cacheIn(t)
	full := errors.New("disk full")
	_, err := open("cpython-x", func(dir string) error {
		write(t, dir+"/bin/python3.14", "half", 0o755)
		return full
	})
	if !errors.Is(err, full) || !strings.HasPrefix(err.Error(), "bundled: ") {
		t.Errorf("got %v", err)
	}
	if left, err := filepath.Glob(cache + "/cpython-x*"); err != nil || len(left) != 1 || !strings.HasSuffix(left[0], ".lock") {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestWhatADeadProcessLeftIsRemoved(t *testing.T) {
	cache := cacheIn(t)
	write(t, cache+"/cpython-x.tmp-1/new/bin/python3.14", "half", 0o755)
	var n atomic.Int32
	if _, err := open("cpython-x", fakeUnpack(t, &n)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cache + "/cpython-x.tmp-1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestWithoutACacheFolderAPrivateTemporaryOneIsUsed(t *testing.T) {
	tmp := t.TempDir()
	write(t, tmp+"/file", "", 0o644)
	for name, env := range map[string]map[string]string{
		"no HOME":                  {"HOME": "", "XDG_CACHE_HOME": ""},
		"HOME that can't be made":  {"HOME": tmp + "/file/home", "XDG_CACHE_HOME": ""},
		"a relative cache folder":  {"HOME": tmp, "XDG_CACHE_HOME": "cache"},
		"a cache that is a device": {"HOME": "/dev/null", "XDG_CACHE_HOME": ""},
	} {
		t.Run(name, func(t *testing.T) {
			env["TMPDIR"] = t.TempDir()
			for k, v := range env {
				t.Setenv(k, v)
			}
			var n atomic.Int32
			dir, err := open("cpython-x", fakeUnpack(t, &n))
			want := fmt.Sprintf("%s/gowsgi-%d/cpython-x", env["TMPDIR"], os.Getuid())
			if err != nil || dir != want {
				t.Fatalf("got %s, %v", dir, err)
			}
			if st, err := os.Stat(filepath.Dir(dir)); err != nil || st.Mode().Perm() != 0o700 {
				t.Errorf("not private: %v %v", st, err)
			}
		})
	}
}

func TestATemporaryFolderThatOthersCanWriteIsRefused(t *testing.T) {
	tmp := t.TempDir()
	for k, v := range map[string]string{"HOME": "", "XDG_CACHE_HOME": "", "TMPDIR": tmp} {
		t.Setenv(k, v)
	}
	place := fmt.Sprintf("%s/gowsgi-%d", tmp, os.Getuid())
	if err := os.Mkdir(place, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(place, 0o777); err != nil {
		t.Fatal(err)
	}
	var n atomic.Int32
	_, err := open("cpython-x", fakeUnpack(t, &n))
	if err == nil || n.Load() != 0 || !strings.Contains(err.Error(), place) || !strings.Contains(err.Error(), "XDG_CACHE_HOME") {
		t.Errorf("got %v", err)
	}
}

const racer = "BUNDLED_TEST_RACER"

func TestMain(m *testing.M) {
	if log := os.Getenv(racer); log != "" {
		os.Exit(race(log))
	}
	os.Exit(m.Run())
}

// race opens the tree as one of several processes, and notes in the log that it unpacked.
func race(log string) int {
	_, err := open("cpython-x", func(dir string) error {
		f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteString("unpacked\n"); err != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond) // Long enough for the others to come.
		if err := os.MkdirAll(dir+"/bin", 0o755); err != nil {
			return err
		}
		return os.WriteFile(dir+"/bin/python3", []byte("x"), 0o755)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestProcessesThatStartAtOnceUnpackOnce(t *testing.T) {
	cacheIn(t)
	log := filepath.Join(t.TempDir(), "log")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), racer+"="+log)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	if b, err := os.ReadFile(log); err != nil || string(b) != "unpacked\n" {
		t.Errorf("log %q, %v", b, err)
	}
}
