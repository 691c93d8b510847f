//go:build cgo

package pyhost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

// getWith sends a request whose environ begins with the pairs, and returns the body.
func getWith(h *Host, path string, pairs [][2]string) ([]byte, error) {
	var rec, body []byte
	for _, kv := range pairs {
		rec = AppendPair(rec, kv[0], kv[1])
	}
	t, err := begin(h, path, Request{Environ: rec}, func(c Chunk) error {
		body = append(body, c.Data...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := t.untilDone(); err != nil {
		return nil, err
	}
	failed := t.out.Failed
	t.x.Release()
	if failed {
		return nil, errors.New("the app failed")
	}
	return body, nil
}

// environValues are what a header may hold: values on both sides of each limit of length, and bytes that are no ASCII.
func environValues(r *rand.Rand) []string {
	values := []string{"", "a", "1234567", "12345678", "caf\xe9", "\xc3\xa9", "\x80\xff", "text/html,application/xhtml+xml;q=0.9"}
	for _, n := range []int{127, 128, 129} {
		values = append(values, strings.Repeat("v", n), strings.Repeat("\xe4", n), fmt.Sprint(r.Int())+strings.Repeat("w", n/2))
	}
	values = append(values, strings.Repeat("v", 20_000))
	// Those that differ in one byte, anywhere.
	for at := range 20 {
		b := bytes.Repeat([]byte("x"), 20)
		b[at] = 'y'
		values = append(values, string(b))
	}
	return values
}

// asText is what Python's json module writes for a str of these bytes.
func asText(b string) string {
	runes := make([]rune, len(b))
	for i := range len(b) {
		runes[i] = rune(b[i])
	}
	return string(runes)
}

// wantEnviron is the environ's items without the wsgi. ones: a key that comes twice keeps its place and has the last value.
func wantEnviron(path string, pairs [][2]string) [][2]string {
	var want [][2]string
	pairs = append(slices.Clone(pairs), [2]string{"REQUEST_METHOD", "GET"}, [2]string{"SCRIPT_NAME", ""}, [2]string{"PATH_INFO", path},
		[2]string{"RAW_URI", path})
	for _, kv := range pairs {
		kv = [2]string{asText(kv[0]), asText(kv[1])}
		if i := slices.IndexFunc(want, func(w [2]string) bool { return w[0] == kv[0] }); i >= 0 {
			want[i] = kv
		} else {
			want = append(want, kv)
		}
	}
	return want
}

// someRequests sends requests of a few kinds of clients in turns, whose values change now and then, and compares what the app saw.
func someRequests(h *Host, seed int64, n int) error {
	r := rand.New(rand.NewSource(seed))
	values := environValues(r)
	var clients [][][2]string
	for c := range 6 {
		var pairs [][2]string
		for i := range 1 + 9*c {
			pairs = append(pairs, [2]string{fmt.Sprintf("HTTP_X_%d", r.Intn(100)), ""}) // some come twice
			if i%8 == 7 {
				pairs[i][0] = "HTTP_" + strings.Repeat("K", 60+r.Intn(10))
			}
		}
		clients = append(clients, append(pairs, [2]string{"HTTP_CAF\xc9", "x"}))
	}
	for i := range n {
		pairs := clients[r.Intn(len(clients))]
		if i%3 > 0 {
			pairs = clients[i/20%len(clients)]
		}
		for range r.Intn(4) {
			pairs[r.Intn(len(pairs))][1] = values[r.Intn(len(values))]
		}
		path := []string{"/", "/a", "/caf\xe9", "/spoil", "/keep"}[r.Intn(5)]
		body, err := getWith(h, path, pairs)
		if err != nil {
			return err
		}
		var got [][2]string
		if err := json.Unmarshal(body, &got); err != nil {
			return fmt.Errorf("%w: %.1000s", err, body)
		}
		if want := wantEnviron(path, pairs); !slices.Equal(got, want) {
			return fmt.Errorf("request %d: the environ is\n%.3000q, not\n%.3000q", i, got, want)
		}
	}
	return nil
}

func init() {
	childActions["environs"] = func(h *Host) error {
		defer h.writeLog()
		errs := make(chan error, 4)
		for i := range 4 {
			go func() { errs <- someRequests(h, int64(i), 300) }()
		}
		var all error
		for range 4 {
			all = errors.Join(all, <-errs)
		}
		body, err := getWith(h, "/kept", nil)
		fmt.Printf("%s\n", body)
		return errors.Join(all, err)
	}
	childActions["made-up headers"] = func(h *Host) error {
		defer h.writeLog()
		for round := range 3 {
			for i := range 1000 {
				var pairs [][2]string
				for k := range 12 {
					pairs = append(pairs, [2]string{fmt.Sprintf("HTTP_%d_%d_%d", round, i, k), fmt.Sprintf("value %d of %d", k, i)})
				}
				for range 3 { // what comes once is not remembered anyway
					if _, err := getWith(h, "/", pairs); err != nil {
						return err
					}
				}
			}
			body, err := getWith(h, "/blocks", nil)
			if err != nil {
				return err
			}
			fmt.Printf("%s\n", body)
		}
		return nil
	}
}

func TestAnEnvironHasTheValuesOfItsOwnRequestWhateverCameBefore(t *testing.T) {
	dir := write(t, "app.py", `
import io, json, sys
kept = []
FIXED = {'wsgi.version': (1, 0), 'wsgi.multithread': True, 'wsgi.multiprocess': False, 'wsgi.run_once': False,
         'wsgi.input_terminated': True}
def app(environ, start_response):
    path = environ['PATH_INFO']
    start_response('200 OK', [])
    if path == '/kept':
        apart = len({id(e) for e, _ in kept}) == len({id(e['wsgi.input']) for e, _ in kept}) == len(kept)
        return [b'as they were' if apart and all(e == c for e, c in kept) else b'changed']
    assert type(environ) is dict
    assert all(environ[k] == v for k, v in FIXED.items()), environ
    assert environ['wsgi.input'].read() == b''
    assert {k for k in environ if k.startswith('wsgi.')} == {*FIXED, 'wsgi.input', 'wsgi.errors', 'wsgi.file_wrapper'}, environ
    body = json.dumps([(k, v) for k, v in environ.items() if not k.startswith(('wsgi.', 'gowsgi.'))]).encode()
    if path == '/keep' and len(kept) < 50:
        kept.append((environ, dict(environ)))
    if path == '/spoil':
        for k in list(environ)[::2]:
            environ[k] = 'spoiled'
        for k in list(environ)[::3]:
            del environ[k]
        environ['wsgi.spoiled'] = environ['HTTP_SPOILED'] = environ
    return [body]
`)
	forEachPython(t, func(t *testing.T, p Python) {
		r := childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "environs"}.start(t)
		if r.code != 0 || strings.TrimSpace(r.stdout) != "as they were" {
			t.Fatalf("%+v", r)
		}
	})
}

func TestMadeUpHeadersDoNotFillMemory(t *testing.T) {
	dir := write(t, "app.py", `
import gc, sys
def app(environ, start_response):
    start_response('200 OK', [])
    if environ['PATH_INFO'] == '/blocks':
        gc.collect()
        return [str(sys.getallocatedblocks()).encode()]
    return [b'x']
`)
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "made-up headers"}.start(t)
	var blocks [3]int
	if _, err := fmt.Sscan(r.stdout, &blocks[0], &blocks[1], &blocks[2]); err != nil || r.code != 0 {
		t.Fatalf("%v %+v", err, r)
	}
	// A thousand clients, each of which left but a name, would leave 1000, and the forms that were made for some of them more.
	if grown := blocks[2] - blocks[1]; grown > 500 {
		t.Errorf("memory grew by %d blocks in a thousand clients: %v", grown, blocks)
	}
}
