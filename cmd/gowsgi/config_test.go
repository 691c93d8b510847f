package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/config"
)

// noPython makes check end after the settings.
const noPython = "--python=/nonexistent/python"

// configFolder has a gowsgi.toml.
func configFolder(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	writeConfig(t, dir, text)
	return dir
}

func writeConfig(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, config.DefaultFile), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCheckPrintsEverySettingAndWhereItIsFrom(t *testing.T) {
	c := command("check", noPython, "--write-timeout=90s", "--python-arg=-X dev", "--python-arg=-O")
	c.Dir = configFolder(t, "app = 'site:app'\nthreads = 4\nidle-timeout = '1h30m'\nbind = ['127.0.0.1:1', 'unix:s']\n\n[mount]\n'/api' = 'api:app'\n\n[static]\n'/s/' = '.'\n")
	c.Env = append(c.Env, "GOWSGI_SPOOL_LIMIT=65536", "GOWSGI_THREADS=5")
	code, stdout, stderr := runCommand(t, c)
	if code != exitPython {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	got := map[string]string{}
	column := -1
	for line := range strings.Lines(stdout) {
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			break
		}
		fields := strings.Fields(line)
		origin := fields[len(fields)-1]
		if at := strings.LastIndex(line, origin); column < 0 {
			column = at
		} else if at != column {
			t.Errorf("not aligned: %q", line)
		}
		got[fields[0]] = strings.Join(fields[1:], " ")
	}
	for name, want := range map[string]string{
		"app": "site:app gowsgi.toml:1", "threads": "5 GOWSGI_THREADS", "idle-timeout": "1h30m gowsgi.toml:3", "bind": "127.0.0.1:1, unix:s gowsgi.toml:4",
		"mount": "/api=api:app gowsgi.toml:6", "static": "/s=. gowsgi.toml:9", "write-timeout": "1m30s flag", "spool-limit": "64k GOWSGI_SPOOL_LIMIT", "header-timeout": "30s default",
		"spool-dir": "- default", "stream-input": "false default", "python-arg": "-X dev -O flag", "config": "gowsgi.toml default",
	} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
	p, err := (&commandLine{args: []string{"serve", "site"}, dir: t.TempDir()}).parse(io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range p.ctx.Selected().Flags {
		if got[flag.Name] == "" {
			t.Errorf("check says nothing of --%s", flag.Name)
		}
	}
}

// Both are shown by values that no flag takes, or that each takes.
func TestEveryFlagOfServeIsAKeyAndAVariable(t *testing.T) {
	if testing.Short() {
		t.Skip("all of it is one goroutine, which the race detector sees nothing in")
	}
	p, err := (&commandLine{args: []string{"serve", "site"}, dir: t.TempDir()}).parse(io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	flags := p.ctx.Selected().Flags
	if len(flags) < 15 {
		t.Fatalf("only %d flags", len(flags))
	}
	for _, flag := range flags {
		variable := config.Prefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		if len(flag.Envs) != 1 || flag.Envs[0] != variable {
			t.Errorf("--%s has the variables %q", flag.Name, flag.Envs)
		}
		for _, name := range []string{"serve", "check"} {
			line := &commandLine{args: []string{name, "site"}, env: map[string]string{variable: ""}, dir: t.TempDir()}
			if _, err := line.parse(io.Discard, io.Discard); err != nil {
				t.Errorf("%s with an empty %s: %v", name, variable, err)
			}
			if flag.Name == "config" {
				continue
			}
			line = &commandLine{args: []string{name, "site"}, dir: configFolder(t, flag.Name+" = 1979-05-27\n")}
			want := fmt.Sprintf("gowsgi.toml:1: %s = 1979-05-27: expected ", flag.Name)
			if _, err := line.parse(io.Discard, io.Discard); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s with a date for %s: got %v, want %s...", name, flag.Name, err, want)
			}
		}
	}
}

func TestAWrongConfigurationIsExitCode2AndSaysWhere(t *testing.T) {
	for file, wants := range map[string][]string{
		"threads = '4'\nbinds = 'x'":    {"gowsgi: gowsgi.toml:1: threads = \"4\": expected a whole number\n", "gowsgi.toml:2: unknown key \"binds\"; the nearest known one is \"bind\"\n"},
		"threads = ":                    {"gowsgi: gowsgi.toml:1:10: "},
		"threads = 0":                   {"--threads must be from 1 to 10000", "(--threads is from gowsgi.toml:1)"},
		"chdir = '/nonexistent'":        {"--chdir", "/nonexistent", "(--chdir is from gowsgi.toml:1)"},
		"spool-limit = '1x'":            {"gowsgi.toml:1: spool-limit = \"1x\"", "is not a size"},
		"[mount]\n'/a' = 'a'\nb = 'b'":  {"gowsgi.toml:3: mount.\"b\" = \"b\"", "does not start with a slash"},
		"bind = ['127.0.0.1:0', 'bad']": {"gowsgi.toml:1: bind: \"bad\"", "is not host:port"},
	} {
		for _, name := range []string{"serve", "check"} {
			c := command(name, noPython, "site")
			c.Dir = configFolder(t, file)
			code, _, stderr := runCommand(t, c)
			if code != exitUsage {
				t.Errorf("%s: exit code %d", name, code)
			}
			wantParts(t, stderr, wants...)
		}
	}
	c := command("serve", "site")
	c.Env = append(c.Env, "GOWSGI_THREAD=4")
	code, _, stderr := runCommand(t, c)
	if code != exitUsage {
		t.Errorf("an unknown variable: exit code %d", code)
	}
	wantParts(t, stderr, "GOWSGI_THREAD;", "GOWSGI_THREADS")
}

func TestHelpAndVersionDoNotMindAWrongConfiguration(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--help"}, {"serve", "--help"}} {
		c := command(args...)
		c.Dir = configFolder(t, "nonsense")
		c.Env = append(c.Env, "GOWSGI_NOPE=1")
		if code, stdout, stderr := runCommand(t, c); code != exitFine || stdout == "" || stderr != "" {
			t.Errorf("%q: exit code %d: %s", args, code, stderr)
		}
	}
}

func TestSettingsAreReadAgainFromTheStartsFolderAndVariables(t *testing.T) {
	dir := configFolder(t, "threads = 3\nwrite-timeout = '1s'")
	t.Chdir(dir)
	for _, kv := range os.Environ() {
		if name, value, _ := strings.Cut(kv, "="); strings.HasPrefix(name, config.Prefix) {
			t.Setenv(name, value) // is put back at the end
			os.Unsetenv(name)
		}
	}
	t.Setenv("GOWSGI_SPOOL_LIMIT", "1k")
	line, err := takeCommandLine([]string{"serve", "--idle-timeout=9s", "site"})
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := os.LookupEnv("GOWSGI_SPOOL_LIMIT"); ok {
		t.Errorf("the variable is left: %q", v)
	}
	t.Chdir(t.TempDir())
	t.Setenv("GOWSGI_SPOOL_LIMIT", "2k") // is not what the process was started with
	want := func(threads int, write time.Duration) {
		t.Helper()
		c, err := line.reparse()
		if err != nil {
			t.Fatal(err)
		}
		if c.Threads != threads || c.WriteTimeout != write || c.SpoolLimit != 1024 || c.IdleTimeout != 9*time.Second || c.App != "site" {
			t.Errorf("%+v", c)
		}
	}
	want(3, time.Second)
	writeConfig(t, dir, "threads = 4")
	want(4, 60*time.Second)
	writeConfig(t, dir, "threads = 4\nthread = 3")
	if c, err := line.reparse(); err == nil || c != nil || !strings.Contains(err.Error(), "gowsgi.toml:2: unknown key") {
		t.Errorf("got %+v, %v", c, err)
	}
	writeConfig(t, dir, "\nthreads = 0")
	if _, err := line.reparse(); err == nil || !strings.Contains(err.Error(), "--threads is from gowsgi.toml:2") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(filepath.Join(dir, config.DefaultFile)); err != nil {
		t.Fatal(err)
	}
	want(16, 60*time.Second)
}

func TestServeTakesEverythingFromTheFile(t *testing.T) {
	py, dir := python(t), siteDir(t)
	c := command("serve")
	c.Dir = configFolder(t, fmt.Sprintf(`# a site
app = "site_app"
python = %q
chdir = %q
bind = ["127.0.0.1:0", "unix:c.sock"]
threads = 2
python-arg = ["-O", "-X dev"]
stream-input = true

[mount]
"/a" = "site_app"
"/b" = "site_app:app"
`, py.Executable, dir))
	p := startServe(t, c)
	urls := p.urls(t, 2)
	wantParts(t, mustGet(t, urls[0], "/b/"), `"own": []`, `"optimize": 1`, `"dev": true`, `"script": "/b"`)
	wantParts(t, mustGet(t, urls[0], "/c"), `"script": ""`)
	wantParts(t, p.text(), "2 threads")
	p.signal(t, syscall.SIGTERM)
	if code := p.code(t); code != exitFine {
		t.Errorf("exit code %d", code)
	}
}
