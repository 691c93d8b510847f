package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/certs"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/certs/certtest"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/privileges"
	"github.com/gowsgi/gowsgi/pyhost"
)

// parseCheck is the command line of gowsgi check with these arguments.
func parseCheck(t *testing.T, args ...string) *checkCmd {
	t.Helper()
	p, err := (&commandLine{args: append([]string{"check", "--deploy", "site"}, args...), dir: t.TempDir()}).parse(io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return &p.cli.Check
}

// text has a line for each finding.
func (f *findings) text() string {
	var b strings.Builder
	for _, one := range f.all {
		fmt.Fprintf(&b, "%s %s: %s; %s\n", one.Level, one.Where, one.What, one.Mend)
	}
	return b.String()
}

// wantFinding compares the findings about one flag with the one that there should be, "" for none.
func wantFinding(t *testing.T, name string, f *findings, where, want string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(f.text()) {
		if strings.Contains(line, " "+where+": ") {
			got = append(got, line)
		}
	}
	if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
		t.Errorf("%s: got %q, want %q", name, got, want)
	}
}

func TestDeployLooksAtWhoCanConnect(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		where string
		want  string // "" for no finding
	}{
		"the loopback address without a proxy": {nil, "--bind", "warning --bind: only this machine can connect to 127.0.0.1:8000"},
		"the loopback address of IPv6":         {[]string{"--bind=[::1]:80"}, "--bind", "--trusted-proxy ::1"},
		"a unix socket without a proxy":        {[]string{"--bind=unix:s"}, "--bind", "--trusted-proxy unix"},
		"localhost behind a proxy":             {[]string{"--bind=localhost:80", "--trusted-proxy=127.0.0.1"}, "--bind", ""},
		"the PROXY protocol":                   {[]string{"--bind=127.0.0.1:80 proxy-protocol"}, "--bind", ""},
		"all addresses in plain HTTP":          {[]string{"--bind=:80"}, "--bind", "note --bind: clients speak plain HTTP to :80"},
		"all addresses behind a proxy":         {[]string{"--bind=:80", "--trusted-proxy=10.0.0.1"}, "--bind", ""},
		"TLS":                                  {[]string{"--bind=:443", "--certfile=c"}, "--bind", ""},
		"TLS with a redirect":                  {[]string{"--bind=:443", "--bind=:80 redirect", "--certfile=c"}, "--bind", ""},
		"TLS beside plain HTTP":                {[]string{"--bind=:443", "--bind=:80 plain", "--certfile=c"}, "--bind", "note --bind: clients speak plain HTTP to :80"},
		"an inherited socket":                  {[]string{"--bind=fd:3"}, "--bind", ""},
		"everybody is trusted":                 {[]string{"--bind=:80", "--trusted-proxy=*"}, "--trusted-proxy", "warning --trusted-proxy: whoever can connect to :80"},
		"everybody on this machine is":         {[]string{"--bind=unix:s", "--trusted-proxy=*"}, "--trusted-proxy", ""},
		"a network is":                         {[]string{"--bind=:80", "--trusted-proxy=10.0.0.0/8"}, "--trusted-proxy", ""},
		"no request timeout":                   {nil, "--request-timeout", "note"},
		"a request timeout":                    {[]string{"--request-timeout=30s"}, "--request-timeout", ""},
		"no access log":                        {nil, "--access-log", "note"},
		"an access log":                        {[]string{"--access-log=-"}, "--access-log", ""},
		"more connections than files":          {[]string{"--max-connections=2000000000"}, "--max-connections", "warning"},
		"few connections":                      {[]string{"--max-connections=10"}, "--max-connections", ""},
		"a user":                               {[]string{"--user=www-data"}, "--user", ""},
	} {
		var f findings
		f.server(&parseCheck(t, c.args...).serveCmd, nil, time.Now())
		wantFinding(t, name, &f, c.where, c.want)
	}
	var f findings
	f.server(&parseCheck(t).serveCmd, nil, time.Now())
	if os.Geteuid() == 0 {
		wantFinding(t, "root", &f, "--user", "warning --user: the apps run as root")
	} else {
		wantFinding(t, "another user", &f, "--user", "")
	}
}

func TestDeployComparesConnectionsWithOpenFiles(t *testing.T) {
	for name, c := range map[string]struct {
		most, files int
		want        string
	}{
		"as many as asked for":          {3000, 4000, ""},
		"fewer than asked for":          {3001, 4000, "warning --max-connections: a worker has 3000 connections at most, not 3001"},
		"the usual limit of a shell":    {0, 1024, "note --max-connections: a worker has 768 connections at most"},
		"the limit of a systemd's unit": {0, 65536, ""},
	} {
		var f findings
		f.connections(c.most, c.files)
		wantFinding(t, name, &f, "--max-connections", c.want)
	}
}

func TestDeployTellsTheAgeOfPython(t *testing.T) {
	day := func(text string) time.Time {
		d, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, c := range map[string]struct{ version, day, want string }{
		"over":         {"3.9.18", "2025-11-02", "warning Python: Python 3.9 has had no security fixes since October 2025"},
		"soon over":    {"3.10.13", "2026-06-01", "note Python: Python 3.10 gets security fixes until October 2026"},
		"young":        {"3.13.0", "2026-06-01", ""},
		"not known":    {"3.99.0", "2099-01-01", ""},
		"no version":   {"", "2099-01-01", ""},
		"its last day": {"3.11.1", "2027-10-30", "note"},
	} {
		var f findings
		f.age(c.version, day(c.day))
		wantFinding(t, name, &f, "Python", c.want)
	}
}

func TestDeployTellsWhenACertificateEnds(t *testing.T) {
	cert, key := certtest.SelfSigned(t, "www.example.com") // for an hour
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for _, err := range []error{os.WriteFile(certFile, cert, 0o644), os.WriteFile(keyFile, key, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := certs.ReadPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		now  time.Time
		mode os.FileMode
		cert string
		key  string
	}{
		"renewed in time": {time.Now().Add(-15 * 24 * time.Hour), 0o600, "", ""},
		"soon over":       {time.Now(), 0o600, "warning --certfile: " + certFile + " expires on ", ""},
		"over":            {time.Now().Add(2 * time.Hour), 0o600, "error --certfile: " + certFile + " has expired on ", ""},
		"an open key":     {time.Now(), 0o644, "expires", "chmod o-r " + keyFile},
	} {
		if err := os.Chmod(keyFile, c.mode); err != nil {
			t.Fatal(err)
		}
		var f findings
		f.server(&parseCheck(t).serveCmd, &certs.Settings{Pairs: []*certs.Pair{p}}, c.now)
		wantFinding(t, name, &f, "--certfile", c.cert)
		wantFinding(t, name, &f, "--keyfile", c.key)
	}
}

func TestDeployComparesTheWorkersMemoryWithTheLimit(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		args            []string
		resident, limit int64
		want            string
	}{
		"enough":                {[]string{"--workers=4"}, 100 * mib, 600 * mib, ""},
		"too little":            {[]string{"--workers=4"}, 100 * mib, 450 * mib, "warning --workers: 4 workers take about 400 MiB"},
		"its mend":              {[]string{"--workers=4"}, 100 * mib, 450 * mib, "--preload"},
		"preloaded":             {[]string{"--workers=4", "--preload"}, 100 * mib, 450 * mib, ""},
		"preloaded, too little": {[]string{"--workers=20", "--preload"}, 100 * mib, 450 * mib, "20 workers take about 1100 MiB"},
		"no limit":              {[]string{"--workers=400"}, 100 * mib, 0, ""},
		"no size":               {[]string{"--workers=400"}, 0, mib, ""},
	} {
		var f findings
		f.memory(&parseCheck(t, c.args...).serveCmd, c.resident, c.limit)
		wantFinding(t, name, &f, "--workers", c.want)
	}
}

func TestTheMemoryLimitIsTheSmallestOfTheCgroupsAndTheMachine(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"version 2":            {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "1000\n"}, 1000},
		"a container's own":    {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "2000\n"}, 2000},
		"version 1":            {map[string]string{"proc/self/cgroup": "4:memory:/a\n0::/\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "3000\n"}, 3000},
		"no limit":             {map[string]string{"proc/self/cgroup": "0::/\n", "proc/meminfo": "MemTotal:  8 kB\nMemFree: 1 kB\n"}, 8 << 10},
		"more than there is":   {map[string]string{"proc/self/cgroup": "0::/\n", "proc/meminfo": "MemTotal:  8 kB\n", "sys/fs/cgroup/memory.max": "999999\n"}, 8 << 10},
		"nothing can be known": {nil, 0},
	} {
		root := t.TempDir()
		for file, text := range c.files {
			file = filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := memoryLimit(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if memoryLimit("/") == 0 {
		t.Error("this machine has none")
	}
}

func TestDeployTellsWhatTheUserCannotReach(t *testing.T) {
	dir := t.TempDir()
	secret, open := filepath.Join(dir, "secret"), "/"
	if err := os.Mkdir(secret, 0o700); err != nil {
		t.Fatal(err)
	}
	id, err := privileges.Lookup("54321", "54321")
	if err != nil {
		t.Fatal(err)
	}
	look := func(library, app, spool string) *findings {
		var f findings
		python := pyhost.Python{Library: library, Executable: "/bin/sh", Prefix: "/usr"}
		f.access(&checked{dir: app, python: python, identity: id, static: []staticSetting{{"/static", open}}}, spool)
		return &f
	}
	wantFinding(t, "all can be reached", look("/bin/sh", open, "/tmp"), "--user", "")
	wantFinding(t, "libpython is in a closed folder", look(filepath.Join(secret, "libpython.so"), open, "/tmp"), "--user", "libpython")
	wantFinding(t, "the app is in a closed folder", look("/bin/sh", secret, "/tmp"), "--user", "error --user: it can't use the app's folder "+secret)
	wantFinding(t, "the spool is closed", look("/bin/sh", open, "/usr"), "--spool-dir", "error --spool-dir: long bodies can't be kept in /usr")
}

func TestDeployLooksAtTheSpoolFolder(t *testing.T) {
	may := func(string, uint32) error { return nil }
	for name, c := range map[string]struct {
		dir  string
		may  func(string, uint32) error
		want string
	}{
		"memory":       {"/dev/shm", may, "note --spool-dir: /dev/shm is in memory (tmpfs)"},
		"a disk":       {".", may, ""},
		"may not":      {".", func(string, uint32) error { return os.ErrPermission }, "error --spool-dir: long bodies can't be kept in .: permission denied"},
		"is not there": {"/nonexistent", unix.Access, "error --spool-dir: long bodies can't be kept in /nonexistent"},
	} {
		var f findings
		f.spool(c.dir, c.may)
		wantFinding(t, name, &f, "--spool-dir", c.want)
	}
}

func TestDeployTellsPythonWhatTheFlagsMean(t *testing.T) {
	for name, c := range map[string]struct {
		args                              []string
		https, onlyHTTPS, trusted, scheme bool
		hidden                            string
	}{
		"nothing":             {nil, false, false, false, false, "x-forwarded-*,x-scheme,x-url-scheme,front-end-https"},
		"a proxy":             {[]string{"--trusted-proxy=::1"}, false, false, true, true, ""},
		"one with Forwarded":  {[]string{"--trusted-proxy=::1", "--forwarded-header=forwarded"}, false, false, true, true, "x-forwarded-*"},
		"one without scheme":  {[]string{"--trusted-proxy=::1", "--forwarded-header=x-forwarded-host"}, false, false, true, false, "x-forwarded-proto,x-forwarded-port"},
		"TLS":                 {[]string{"--certfile=c"}, true, true, false, false, "x-forwarded-*,x-scheme,x-url-scheme,front-end-https"},
		"TLS, and a redirect": {[]string{"--certfile=c", "--bind=:443", "--bind=:80 redirect"}, true, true, false, false, "x-forwarded-*,x-scheme,x-url-scheme,front-end-https"},
		"TLS, and plain":      {[]string{"--certfile=c", "--bind=:443", "--bind=:80 plain"}, true, false, false, false, "x-forwarded-*,x-scheme,x-url-scheme,front-end-https"},
	} {
		s := parseCheck(t, c.args...).deployServer(nil)
		if s.HTTPS != c.https || s.OnlyHTTPS != c.onlyHTTPS || s.Trusted != c.trusted || s.Scheme != c.scheme || strings.Join(s.Hidden, ",") != c.hidden {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestFindingsAreWrittenWorstFirstAndANoteIsNoReasonToFail(t *testing.T) {
	var f findings
	f.add(levelNote, "a", "b", "c")
	var out bytes.Buffer
	if err := report(&out, f.all); err != nil {
		t.Errorf("a note: %v", err)
	}
	if want := "note     a: b\n         mend: c\n\n1 note\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	f.add(levelWarning, "w", "one\n   line\x1b[31m", "m")
	f.add(levelError, "e", "x", "y")
	f.add(levelError, "e2", "x", "y")
	out.Reset()
	if code, text := exitCode(report(&out, f.all)); code != exitOther || text != "" {
		t.Errorf("exit code %d: %s", code, text)
	}
	got := out.String()
	wantParts(t, got, "warning  w: one line\uFFFD[31m\n", "\n2 errors, 1 warning, 1 note\n")
	if !(strings.Index(got, "e2") < strings.Index(got, "w: ") && strings.Index(got, "w: ") < strings.Index(got, "a: b")) || strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
	out.Reset()
	if err := report(&out, nil); err != nil || !strings.Contains(out.String(), "nothing was found") {
		t.Errorf("%v %q", err, out.String())
	}
}

func TestFindingsAreColouredOnATerminalAlone(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminals here:", err)
	}
	defer master.Close()
	control, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	if e := control.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here:", err)
	}
	defer terminal.Close()
	var f findings
	f.add(levelNote, "a", "b", "c")
	for _, c := range []struct{ noColor, want string }{{"", "\x1b[36mnote     \x1b[0ma: b"}, {"1", "note     a: b"}} {
		t.Setenv("NO_COLOR", c.noColor)
		if err := report(terminal, f.all); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := master.Read(buf)
		if err != nil || !strings.HasPrefix(string(buf[:n]), c.want) {
			t.Errorf("NO_COLOR=%q: %q, %v", c.noColor, buf[:n], err)
		}
		for !strings.Contains(string(buf[:n]), "1 note\r\n") {
			if n, err = master.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
	}
}
