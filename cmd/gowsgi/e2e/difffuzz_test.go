package e2e

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestNoRequestIsReadOtherwiseThanByWaitressAndGunicorn sends the same bytes to gowsgi, waitress and gunicorn, which serve the same app, for
// GOWSGI_TEST_DIFFFUZZ (a duration). A finding is a request that gowsgi gives to the app and both others refuse, or that both others read in
// one way and gowsgi in another: another method, target or body, or more or fewer requests. What gowsgi refuses and they take is none.
func TestNoRequestIsReadOtherwiseThanByWaitressAndGunicorn(t *testing.T) {
	d, err := time.ParseDuration(os.Getenv("GOWSGI_TEST_DIFFFUZZ"))
	if err != nil {
		t.Skip("scripts/test.sh difffuzz runs this test: it sets GOWSGI_TEST_DIFFFUZZ, and GOWSGI_TEST_PEERS to a Python with waitress and gunicorn")
	}
	seed := uint64(1)
	if s := os.Getenv("GOWSGI_TEST_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	peers := os.Getenv("GOWSGI_TEST_PEERS")
	servers := []string{
		start(t, "seen", options{args: []string{"--threads", "8"}}).addr,
		startPeer(t, peers, "-m", "waitress", "--listen=127.0.0.1:0", "--threads=16", "wsgi:application"),
		startPeer(t, peers, "-m", "gunicorn", "--bind=127.0.0.1:0", "--worker-class=gthread", "--threads=16", "--forwarded-allow-ips=", "--limit-request-line=0",
			"--limit-request-field_size=0", "--limit-request-fields=1000", "wsgi:application"),
	}
	m := newMutator(t, seed)
	var mu sync.Mutex
	deadline := time.Now().Add(d)
	tried, taken, findings, known := 0, 0, 0, map[string]int{}
	next := func() []byte {
		mu.Lock()
		defer mu.Unlock()
		if tried++; time.Now().After(deadline) || findings >= 60 {
			return nil
		}
		return m.next()
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for raw := next(); raw != nil; raw = next() {
				o := compare(servers, raw, 300*time.Millisecond)
				finding, rules := o.finding()
				if finding != "" { // a machine that is busy makes a server look as if it waited
					o = compare(servers, raw, 3*time.Second)
					finding, rules = o.finding()
				}
				mu.Lock()
				if len(o[0]) > 0 && o[0][0].seen() {
					taken++
				}
				for _, rule := range rules {
					known[rule]++
				}
				if finding != "" {
					findings++
					t.Errorf("%s:\n%q\ngowsgi   %v\nwaitress %v\ngunicorn %v", finding, raw, o[0], o[1], o[2])
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	t.Logf("seed %d: %d inputs, of %d gowsgi gave a request to the app; differences by rule: %v", seed, tried, taken, known)
}

// outcome is what a server made of one request: the app saw it, the server refused it, or it waits for more.
type outcome struct {
	// As the app saw them; proxy are HTTP_PROXY and HTTP_X_FORWARDED_*, fields the further HTTP_ variables.
	method, path, query, target, host, cookie, proxy, fields, body string

	status int // of a refusal; 0 where the server ended the connection without an answer
	waits  bool
}

func (o outcome) String() string {
	switch {
	case o.waits:
		return "waits"
	case o.seen():
		return fmt.Sprintf("%s %q?%s host %q %q %q %s%s", o.method, o.path, o.query, o.host, o.cookie, o.proxy, o.fields, o.body)
	}
	return fmt.Sprint("refuses ", o.status)
}

func (o outcome) seen() bool    { return o.method != "" }
func (o outcome) refuses() bool { return !o.waits && !o.seen() }

// differences are those in which gowsgi is right, each with the sentence that says so: mend makes of what another server saw what gowsgi saw.
var differences = []struct {
	name string
	mend func(own outcome, other *outcome)
}{
	{`RFC 3875 section 4.1.5: PATH_INFO is empty or begins with a slash, so that of "OPTIONS *" is empty`, func(own outcome, other *outcome) {
		if own.path == "" && other.path == "*" {
			other.path = ""
		}
	}},
	{`RFC 9110 section 4.2.3: an empty path component is equivalent to an absolute path of "/"`, func(own outcome, other *outcome) {
		if own.path == "/" && other.path == "" {
			other.path = "/"
		}
	}},
	{"RFC 9112 section 3.2.2: an origin server must ignore the received Host where the target is in absolute form", func(own outcome, other *outcome) {
		if _, authority, ok := strings.Cut(own.target, "://"); ok && strings.HasPrefix(authority, own.host) {
			other.host = own.host
		}
	}},
	{"RFC 6265 section 5.4: cookies are separated by semicolons", func(own outcome, other *outcome) {
		if strings.ReplaceAll(own.cookie, "; ", ",") == strings.ReplaceAll(strings.ReplaceAll(other.cookie, "; ", ","), ", ", ",") {
			other.cookie = own.cookie
		}
	}},
	{"RFC 3875 section 4.1.18: the server may remove a field; HTTP_PROXY is a setting of HTTP clients, HTTP_X_FORWARDED_* only a trusted proxy's", func(own outcome, other *outcome) {
		if own.proxy == "" {
			other.proxy = ""
		}
	}},
	{"RFC 9110 section 9.1: a method is a token, of any length", func(own outcome, other *outcome) {
		if own.seen() && (len(own.method) < 3 || len(own.method) > 20) && other.refuses() {
			*other = own
		}
	}},
}

// outcomes are those of gowsgi, waitress and gunicorn, request by request.
type outcomes [3][]outcome

// finding says what is wrong, "" where nothing is. rules are the names of the differences that were met.
func (o outcomes) finding() (what string, rules []string) {
	same := func(own, other outcome) bool {
		var met []string
		for _, d := range differences {
			before := other
			if d.mend(own, &other); other != before {
				met = append(met, d.name)
			}
		}
		if own == other {
			rules = append(rules, met...)
		}
		return own == other
	}
	for i, own := range o[0] {
		if i >= len(o[1]) || i >= len(o[2]) {
			break
		}
		a, b := o[1][i], o[2][i]
		switch {
		case own.refuses(), own.waits && a.refuses() && b.refuses():
			return "", rules
		case same(own, a) || same(own, b):
		case own.seen() && a.refuses() && b.refuses():
			return fmt.Sprintf("request %d is taken, and both others refuse it", i+1), rules
		case a == b:
			return fmt.Sprintf("both others agree on request %d, against gowsgi", i+1), rules
		}
		if !same(own, a) || !same(own, b) {
			break
		}
	}
	return "", rules
}

// compare sends raw and a last request to each server. quiet is how long a server may be silent before it counts as waiting.
func compare(servers []string, raw []byte, quiet time.Duration) (o outcomes) {
	raw = append(raw[:len(raw):len(raw)], "GET /last HTTP/1.1\r\nHost: last.example\r\nConnection: close\r\n\r\n"...)
	var wg sync.WaitGroup
	for i, addr := range servers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			o[i] = exchange(addr, raw, quiet)
		}()
	}
	wg.Wait()
	return o
}

// exchange sends raw on one connection and reads all responses.
func exchange(addr string, raw []byte, quiet time.Duration) (got []outcome) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil
	}
	defer nc.Close()
	_ = nc.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, _ = nc.Write(raw) // a server that refuses may have closed
	r := bufio.NewReader(nc)
	for {
		_ = nc.SetReadDeadline(time.Now().Add(quiet))
		resp, err := http.ReadResponse(r, nil)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			return append(got, outcome{waits: true})
		case err != nil:
			return append(got, outcome{})
		case resp.StatusCode < 200:
			continue
		case resp.StatusCode != 200:
			return append(got, outcome{status: resp.StatusCode})
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		got = append(got, outcomeOf(resp.Header.Get("X-Seen")))
		if resp.Close {
			return got
		}
	}
}

// outcomeOf reads what the app saw.
func outcomeOf(header string) outcome {
	var seen [2]json.RawMessage
	var environ map[string]string
	if err := json.Unmarshal([]byte(header), &seen); err != nil || json.Unmarshal(seen[0], &environ) != nil {
		return outcome{method: "unreadable: " + header}
	}
	o := outcome{
		method: environ["REQUEST_METHOD"], path: environ["PATH_INFO"], query: environ["QUERY_STRING"], target: cmp.Or(environ["REQUEST_URI"], environ["RAW_URI"]),
		host: environ["HTTP_HOST"], cookie: environ["HTTP_COOKIE"], body: string(seen[1]),
	}
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		line := fmt.Sprintf("%s=%q ", name, strings.ReplaceAll(environ[name], ", ", ",")) // fields of one name are joined in either way
		switch {
		case name == "HTTP_HOST" || name == "HTTP_COOKIE":
		case name == "HTTP_PROXY" || strings.HasPrefix(name, "HTTP_X_FORWARDED_"):
			o.proxy += line
		case strings.HasPrefix(name, "HTTP_") || name == "CONTENT_TYPE":
			o.fields += line
		}
	}
	return o
}

var peerAddress = regexp.MustCompile(`http://127\.0\.0\.1:([1-9]\d*)`)

// startPeer starts another server on testdata/apps/seen and returns its address.
func startPeer(t *testing.T, python string, args ...string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(python, args...)
	c.Dir, c.Stdout, c.Stderr = filepath.Join(root, "testdata", "apps", "seen"), w, w
	c.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	err = c.Start()
	w.Close()
	if err != nil {
		t.Fatalf("GOWSGI_TEST_PEERS=%s: %v", python, err)
	}
	log := serverLog{changed: make(chan struct{}), ended: make(chan struct{})}
	go log.read(r)
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(10*time.Second, func() { _ = c.Process.Kill() })
		_ = c.Wait()
		kill.Stop()
	})
	line, ok := log.find(peerAddress, 20*time.Second)
	if !ok {
		t.Fatalf("%s does not listen:\n%s", strings.Join(args, " "), strings.Join(log.all(), "\n"))
	}
	return "127.0.0.1:" + peerAddress.FindStringSubmatch(line)[1]
}
