package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// accessEntry is a line of a JSON access log, as far as the tests look at it.
type accessEntry struct {
	Status    int     `json:"status"`
	Ended     string  `json:"ended"`
	Target    string  `json:"target"`
	Worker    int     `json:"worker"`
	Thread    int     `json:"thread"`
	Duration  float64 `json:"duration"`
	Python    float64 `json:"python_time"`
	Body      int     `json:"body_bytes_out"`
	RequestID string  `json:"request_id"`
}

func accessEntries(t testing.TB, text string) (all []accessEntry) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e accessEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "}\n") {
			t.Fatalf("%v: %q", err, line)
		}
		all = append(all, e)
	}
	return all
}

func textOf(pattern string) (text string) {
	files, _ := filepath.Glob(pattern)
	for _, f := range files {
		b, _ := os.ReadFile(f)
		text += string(b)
	}
	return text
}

func TestAnAccessLogThatIsRotatedUnderLoadLosesAndSplitsNoLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access")
	s := start(t, "hello", options{args: []string{"--workers", "4", "--access-log", path, "--access-log-format", "json"}})
	s.waitServing(t, 4)
	const clients, each = 8, 250
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			for i := range each {
				_, _ = s.get(t, fmt.Sprintf("/%d-%d", n, i))
			}
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	for n := 0; ; n++ {
		select {
		case <-done:
		default:
			if err := os.Rename(path, path+"."+itoa(n)); err != nil {
				t.Fatal(err)
			}
			s.signal(t, syscall.SIGUSR1)
			eventually(t, "the new file", func() bool { _, err := os.Stat(path); return err == nil })
			continue
		}
		break
	}
	eventually(t, "all lines", func() bool { return strings.Count(textOf(path+"*"), "\n") >= clients*each })
	seen, workers := map[string]int{}, map[int]bool{}
	for _, e := range accessEntries(t, textOf(path+"*")) {
		seen[e.Target]++
		workers[e.Worker] = true
		if e.Status == 0 || e.Ended != "ok" || e.Thread == 0 || e.Python <= 0 || e.Python > e.Duration {
			t.Errorf("%+v", e)
		}
	}
	if len(seen) != clients*each || len(workers) < 2 {
		t.Errorf("%d targets, workers %v", len(seen), workers)
	}
	for target, n := range seen {
		if n != 1 {
			t.Errorf("%s %d times", target, n)
		}
	}
}

func TestTheLastLinesOfTheAccessLogAreWrittenAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access")
	s := start(t, "hello", options{args: []string{"--access-log", path}})
	s.getOK(t, "/last")
	s.signal(t, syscall.SIGTERM)
	s.waitExit(t)
	combined := regexp.MustCompile(`^127\.0\.0\.1 - - \[[^\]]+\] "GET /last HTTP/1\.1" 200 \d+ "-" "[^"]*"\n$`)
	if text := textOf(path); !combined.MatchString(text) {
		t.Errorf("%q", text)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm()&0o007 != 0 {
		t.Errorf("%v %v", st, err)
	}
}

func TestAFullDiskHoldsNoRequestAndIsToldOf(t *testing.T) {
	s := start(t, "hello", options{args: []string{"--access-log", "/dev/full"}})
	for range 20 {
		s.getOK(t, "/")
	}
	s.waitLog(t, "lines of the access log are lost")
	s.waitLog(t, "no space left on device")
	s.getOK(t, "/")
}

func TestAPipeThatNobodyReadsHoldsNoRequestNorTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "hello", options{args: []string{"--access-log", path, "--workers", "2"}})
	c := s.dial(t)
	long := "/" + strings.Repeat("x", 3000)
	for range 500 { // far more than a pipe and the buffer hold
		c.do("GET", long, "").body()
	}
	s.signal(t, syscall.SIGUSR1) // must not hold the worker's orders either
	s.getOK(t, "/")
	began := time.Now()
	s.signal(t, syscall.SIGTERM)
	s.waitExit(t)
	if took := time.Since(began); took > 15*time.Second {
		t.Error(took)
	}
}

func TestLinesOfSeveralWorkersInOnePipeAreWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "hello", options{args: []string{"--access-log", path, "--access-log-format", "json", "--workers", "4"}})
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const clients, each = 4, 100
	go func() {
		for n := range clients {
			go func() {
				for i := range each {
					_, _ = s.get(t, fmt.Sprintf("/%d-%d-%s", n, i, strings.Repeat("\"x", 3000)), "User-Agent: "+strings.Repeat("\\", 3000))
				}
			}()
		}
	}()
	_ = f.SetReadDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(f)
	for range clients * each {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if len(line) > 4096 {
			t.Errorf("%d bytes", len(line))
		}
		accessEntries(t, line)
	}
}

func TestTheAccessLogGoesToSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	listen := func() *net.UnixConn {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		return c
	}
	read := func(c *net.UnixConn) string {
		p := make([]byte, 64<<10)
		n, err := c.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		return string(p[:n])
	}
	c := listen()
	s := start(t, "hello", options{args: []string{"--access-log", "syslog:" + path}})
	s.getOK(t, "/one")
	if m := read(c); !regexp.MustCompile(`^<30>.* gowsgi\[\d+\]: 127\.0\.0\.1 - - .*"GET /one HTTP/1\.1" 200 `).MatchString(m) {
		t.Errorf("%q", m)
	}
	_ = c.Close()
	_ = os.Remove(path)
	s.getOK(t, "/lost")
	s.waitLog(t, "lines of the access log are lost")
	c = listen() // syslogd starts again
	defer c.Close()
	s.getOK(t, "/two")
	if m := read(c); !strings.Contains(m, `"GET /two HTTP/1.1" 200`) {
		t.Errorf("%q", m)
	}
}

func TestTheAccessLogGoesToStandardOutput(t *testing.T) {
	s := start(t, "hello", options{args: []string{"--access-log", "-", "--access-log-format", `to-stdout %m %U %s %{ended}x %(L)s`}})
	s.getOK(t, "/path?query")
	if line := regexp.MustCompile(`to-stdout GET /path 200 ok \d+\.\d{6}$`); !within(20*time.Second, func() bool { _, ok := s.log.find(line, 0); return ok }) {
		t.Error(s.tail(10))
	}
}

func TestARequestsIDIsInTheAppItsLogTheResponseAndTheAccessLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access")
	s := start(t, "request_ids", options{args: []string{"--access-log", path, "--access-log-format", "json", "--trusted-proxy", "127.0.0.1"}})
	s.waitLog(t, "id=- imported")
	r, body := s.get(t, "/view")
	id := r.value("X-Request-ID")
	if !regexp.MustCompile("^[0-9a-f]{32}$").MatchString(id) || body != id+" "+id+" None" {
		t.Errorf("%q %q", id, body)
	}
	s.waitLog(t, "id="+id+" in /view")
	if r, body := s.get(t, "/view", "X-Request-ID: from-the-proxy"); r.value("X-Request-ID") != "from-the-proxy" || body != "from-the-proxy from-the-proxy None" {
		t.Errorf("%q", body)
	}
	r, _ = s.get(t, "/raise")
	s.waitLog(t, "GET /raise request_id="+r.value("X-Request-ID"))
	eventually(t, "the lines", func() bool { return strings.Count(textOf(path), "\n") == 3 })
	for i, e := range accessEntries(t, textOf(path)) {
		if want := []string{id, "from-the-proxy", r.value("X-Request-ID")}[i]; e.RequestID != want {
			t.Errorf("%+v, not %s", e, want)
		}
	}
}

func TestRequestIDsNeedNoAccessLog(t *testing.T) {
	s := start(t, "request_ids", options{args: []string{"--request-id"}})
	r, body := s.get(t, "/", "X-Request-ID: of-a-client")
	if id := r.value("X-Request-ID"); len(id) != 32 || body != id+" "+id+" None" {
		t.Errorf("%q", body)
	}
	s = start(t, "request_ids", options{})
	if r, body := s.get(t, "/"); r.value("X-Request-ID") != "" || body != "None None None" {
		t.Errorf("%q", body)
	}
}

func TestAnAccessLogThatCanNotBeIsAUsageErrorOrSaysWhy(t *testing.T) {
	for _, c := range []struct {
		args []string
		text string
		code int
	}{
		{[]string{"--access-log", "-", "--access-log-format", "%h %Z"}, "there is no directive %Z", 2},
		{[]string{"--access-log", "-", "--access-log-format", "comined"}, `"comined" is no format`, 2},
		{[]string{"--access-log", "/no/such/folder/access"}, "--access-log: can't open the log file: open /no/such/folder/access", 1},
	} {
		args := append(append([]string{"serve", "--bind", "127.0.0.1:0", "--chdir", appDir("hello")}, c.args...), "wsgi")
		out, code := runToEnd(t, command(append(args, python.args...)...))
		if code != c.code || !strings.Contains(out, c.text) {
			t.Errorf("%q: %d, %s", c.args, code, out)
		}
	}
}

// Go's own generator begins alike in all of them: they are forked before Go starts.
func TestWorkersOfOneTemplateMakeDifferentIDs(t *testing.T) {
	s := start(t, "request_ids", options{args: []string{"--workers", "4", "--preload=force", "--request-id"}})
	seen, pids := map[string]bool{}, map[string]bool{}
	s.waitServing(t, 4)
	const requests = 60
	for range requests {
		r, _ := s.get(t, "/")
		seen[r.value("X-Request-ID")] = true
	}
	for _, pid := range s.workers() {
		pids[itoa(pid)] = true
	}
	if len(seen) != requests || len(pids) != 4 {
		t.Errorf("%d ids of %d requests, %d workers", len(seen), requests, len(pids))
	}
}

func TestTheAccessLogIsTheUsersThatTheWorkersBecome(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	dir := publicDir(t)
	publishApp(t, "hello", dir)
	logs := filepath.Join(dir, "logs")
	if err := errors.Join(os.Mkdir(logs, 0o755), os.Chown(logs, uid, gid)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(logs, "access")
	s := runServer(t, "hello", command("serve", "--bind", "127.0.0.1:0", "--workers", "1", "--chdir", dir, "--control-socket", filepath.Join(logs, "c"),
		"--python", pythonFor(t, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}), "--user", "nobody", "--access-log", path, "wsgi"))
	s.listening(t)
	s.getOK(t, "/before")
	eventually(t, "the line", func() bool { return strings.Contains(textOf(path), "/before") })
	if st, err := os.Stat(path); err != nil || st.Sys().(*syscall.Stat_t).Uid != uint32(uid) {
		t.Errorf("%+v %v", st, err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGUSR1)
	eventually(t, "the new file", func() bool { _, err := os.Stat(path); return err == nil })
	s.getOK(t, "/after")
	eventually(t, "the line", func() bool { return strings.Contains(textOf(path), "/after") })
}
