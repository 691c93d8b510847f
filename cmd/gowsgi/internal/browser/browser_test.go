package browser

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const page = "http://127.0.0.1:8000/a?b=c&d='e'"

// program makes one that writes its arguments to the file NAME.args, and goes on with the text.
func program(t *testing.T, dir, name, text string) {
	t.Helper()
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\" > '" + filepath.Join(dir, name) + ".new'\nmv '" +
		filepath.Join(dir, name) + ".new' '" + filepath.Join(dir, name) + ".args'\n" + text + "\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

func arguments(t *testing.T, dir, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name+".args"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// machine is one without a browser, a display or programs.
func machine(t *testing.T, env ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"} {
		t.Setenv(name, "")
	}
	t.Setenv("PATH", dir)
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	return dir
}

func TestTheBrowserThatIsNamedIsGivenTheURL(t *testing.T) {
	for _, test := range []struct {
		browser string
		want    []string
	}{
		{"firefox", []string{page}},
		{"none:firefox", []string{page}},
		{"firefox --private %s --quiet", []string{"--private", page, "--quiet"}},
		{"firefox --new-window=%s:none", []string{"--new-window=" + page}},
		{" : firefox", []string{page}},
	} {
		dir := machine(t, "BROWSER="+test.browser)
		t.Setenv("PATH", dir+":/usr/bin:/bin")
		program(t, dir, "firefox", "echo noise; echo noise >&2")
		if err := Open(page); err != nil {
			t.Errorf("%s: %v", test.browser, err)
		} else if got := arguments(t, dir, "firefox"); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.browser, got, test.want)
		}
	}
}

func TestWithoutANameTheDesktopIsAsked(t *testing.T) {
	const x, way, wsl = "DISPLAY=:0", "WAYLAND_DISPLAY=wayland-0", "WSL_DISTRO_NAME=Debian"
	for _, test := range []struct {
		name string
		uid  int
		env  []string
		want []string // the programs, or what the error says
	}{
		{"X11", 1000, []string{x}, []string{"xdg-open", "x-www-browser"}},
		{"Wayland", 1000, []string{way}, []string{"xdg-open", "x-www-browser"}},
		{"WSL", 1000, []string{wsl}, []string{"wslview"}},
		{"WSL with windows of its own", 1000, []string{wsl, x}, []string{"wslview", "xdg-open", "x-www-browser"}},
		{"no display", 1000, nil, []string{"error: DISPLAY and WAYLAND_DISPLAY are not set"}},
		{"root", 0, []string{x}, []string{"error: no browser is started for root"}},
		{"root who names one", 0, []string{"BROWSER=firefox"}, []string{"firefox"}},
	} {
		machine(t, test.env...)
		all, err := candidates(test.uid, page)
		var got []string
		for _, args := range all {
			got = append(got, args[0])
		}
		if want, is := strings.CutPrefix(test.want[0], "error: "); is {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %q, %v", test.name, got, err)
			}
		} else if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, %v", test.name, got, err)
		}
	}
}

func TestTheErrorSaysWhyThereIsNone(t *testing.T) {
	machine(t, "BROWSER=firefox:chromium")
	if err := Open(page); err == nil || !strings.Contains(err.Error(), "none of these programs is on this machine: firefox, chromium") {
		t.Errorf("got %v", err)
	}
	dir := machine(t, "BROWSER=xdg-open")
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	program(t, dir, "xdg-open", "exit 3")
	if err := Open(page); err == nil || !strings.Contains(err.Error(), "xdg-open: exit status 3") {
		t.Errorf("got %v", err)
	}
}

// A browser that was not yet running stays as long as the user likes, out of reach of Ctrl-C: the sixth field is its session.
func TestItDoesNotWaitForABrowserThatStays(t *testing.T) {
	dir := machine(t, "BROWSER=firefox")
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	ended := filepath.Join(dir, "ended")
	program(t, dir, "firefox", "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] || exit 1; while [ ! -e '"+ended+"' ]; do sleep 0.1; done; rm '"+ended+"'")
	if err := Open(page); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(ended, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ended); err != nil {
			break
		} else if time.Now().After(end) {
			t.Fatal("the browser did not live on")
		}
	}
}
