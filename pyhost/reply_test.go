//go:build cgo

package pyhost

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// talk is one exchange of which a test decides what happens with its chunks.
type talk struct {
	x     Exchange
	out   Output
	news  chan struct{}
	chunk func(c Chunk) error
}

// begin submits a request. chunk is called for each chunk, which is given back to the host right after.
func begin(h *Host, path string, r Request, chunk func(c Chunk) error) (*talk, error) {
	t := &talk{x: h.NewExchange(), news: make(chan struct{}, 1), chunk: chunk}
	for _, kv := range [][2]string{{"REQUEST_METHOD", "GET"}, {"SCRIPT_NAME", ""}, {"PATH_INFO", path}, {"RAW_URI", path}} {
		r.Environ = AppendPair(r.Environ, kv[0], kv[1])
	}
	return t, t.x.Submit(&r, sinkFunc(func(Exchange) {
		select {
		case t.news <- struct{}{}:
		default:
		}
	}))
}

// take waits for news and takes them.
func (t *talk) take() error {
	select {
	case <-t.news:
	case <-time.After(10 * time.Second):
		return fmt.Errorf("no news for 10 s; the last: %+v", t.out)
	}
	t.out.Chunks = t.out.Chunks[:0]
	t.x.Take(&t.out)
	return nil
}

// until takes what comes until it is enough.
func (t *talk) until(enough func() bool) error {
	for !enough() {
		if err := t.take(); err != nil {
			return err
		}
		for _, c := range t.out.Chunks {
			if err := t.chunk(c); err != nil {
				return err
			}
			t.x.Sent(1)
		}
	}
	return nil
}

// untilTaken takes all chunks and gives none back.
func (t *talk) untilTaken(taken *[]Chunk) error {
	for !t.out.Done {
		if err := t.take(); err != nil {
			return err
		}
		*taken = append(*taken, t.out.Chunks...)
	}
	return nil
}

func (t *talk) untilDone() error { return t.until(func() bool { return t.out.Done }) }

// readChunk gives the bytes of a chunk, by a descriptor of the caller's where it is in a file.
func readChunk(c Chunk, fd int) ([]byte, error) {
	if c.Data != nil {
		return bytes.Clone(c.Data), nil
	}
	p := make([]byte, c.Size)
	n, err := syscall.Pread(fd, p, c.Offset)
	if err == nil && n < len(p) {
		err = fmt.Errorf("%d bytes instead of %d", n, len(p))
	}
	return p, err
}

func init() {
	// A socket holds the pages of a file that sendfile gave it until its client took them: long after Sent.
	childActions["spooled"] = func(h *Host) error {
		type piece struct {
			Chunk
			own  int
			data []byte
		}
		var pieces []piece
		files := 0
		t, err := begin(h, "/", Request{}, func(c Chunk) (err error) {
			p := piece{Chunk: c}
			if c.Data == nil {
				files++
				if p.own, err = syscall.Dup(c.File); err != nil {
					return err
				}
			} else {
				p.data = bytes.Clone(c.Data)
				p.Data = p.data
			}
			pieces = append(pieces, p)
			return nil
		})
		if err != nil {
			return err
		}
		// Nothing is taken until much is spooled.
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if body, err := get(h, 0, "/made"); err != nil || body == "60" {
				if err != nil {
					return err
				}
				break
			}
			if time.Now().After(deadline) {
				return errors.New("the app's reply was not spooled")
			}
		}
		if err := t.untilDone(); err != nil {
			return err
		}
		var all []byte
		for _, p := range pieces {
			b, err := readChunk(p.Chunk, p.own)
			if err != nil {
				return err
			}
			all = append(all, b...)
		}
		t.x.Release()
		want := 0
		for i := range 60 {
			if n := bytes.Count(all, []byte{byte('A' + i)}); n != 100001 {
				return fmt.Errorf("%d bytes of 100001 are left of item %d; %d bytes in all, %d chunks of files", n, i, len(all), files)
			}
			want += 100001
		}
		if len(all) != want || files == 0 {
			return fmt.Errorf("%d bytes, %d chunks of files", len(all), files)
		}
		return nil
	}
	// Nothing is given back before all of it was taken, twice on one slot.
	childActions["small pieces"] = func(h *Host) error {
		for range 2 {
			t, err := begin(h, "/", Request{}, nil)
			if err != nil {
				return err
			}
			var taken []Chunk
			if err := t.untilTaken(&taken); err != nil {
				return err
			}
			var all []byte
			for _, c := range taken {
				all = append(all, c.Data...)
			}
			t.x.Sent(len(taken))
			t.x.Release()
			for i := range 40 {
				if n := bytes.Count(all, []byte{byte('A' + i)}); n != 5*(100+i) {
					return fmt.Errorf("%d bytes are left of item %d, which had %d", n, i, 5*(100+i))
				}
			}
		}
		return nil
	}
	childActions["length lies"] = func(h *Host) error {
		var body []byte
		t, err := begin(h, "/", Request{}, func(c Chunk) error {
			body = append(body, c.Data...)
			return nil
		})
		if err != nil {
			return err
		}
		if err := t.until(func() bool { return len(body) >= 3 }); err != nil {
			return err
		}
		if _, err := get(h, 0, "/go"); err != nil {
			return err
		}
		if err := t.untilDone(); err != nil || string(body) != "abcd" {
			return fmt.Errorf("%q %v", body, err)
		}
		return nil
	}
	childActions["close reads"] = func(h *Host) error {
		for range 3 { // more than there are threads
			t, err := begin(h, "/", Request{Stream: true, Body: []byte("part"), ContentLength: 100}, func(Chunk) error { return nil })
			if err != nil {
				return err
			}
			if err := t.untilDone(); err != nil {
				return err
			}
			t.x.Release()
		}
		body, err := get(h, 0, "/said")
		fmt.Println(body)
		return err
	}
	childActions["not committed"] = func(h *Host) error {
		t, err := begin(h, "/", Request{}, func(c Chunk) error { return fmt.Errorf("a chunk came: %q", c.Data) })
		if err != nil {
			return err
		}
		if err := t.untilDone(); err != nil {
			return err
		}
		if !t.out.Failed || t.out.Committed {
			return fmt.Errorf("%+v", t.out)
		}
		h.writeLog()
		return nil
	}
	childActions["handler sets a handler"] = func(h *Host) error {
		terms := make(chan os.Signal, 1)
		signal.Notify(terms, syscall.SIGTERM)
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			body, err := get(h, 0, "/")
			if err != nil || time.Now().After(deadline) {
				return fmt.Errorf("%q %v", body, err)
			}
			if body == "set" {
				break
			}
		}
		h.Info() // Python's main thread has left the handler
		syscall.Kill(os.Getpid(), syscall.SIGTERM)
		select {
		case <-terms:
			return nil
		case <-time.After(10 * time.Second):
			return errors.New("Go received no SIGTERM")
		}
	}
	childActions["get twice"] = func(h *Host) error {
		if _, err := get(h, 0, "/"); err != nil {
			return err
		}
		body, err := get(h, 0, "/")
		fmt.Println(body)
		return err
	}
}

func TestWhatWasSpooledStaysAsItWasAfterSent(t *testing.T) {
	dir := write(t, "app.py", `
made = 0
def app(environ, start_response):
    global made
    start_response('200 OK', [])
    if environ['PATH_INFO'] == '/made':
        yield str(made).encode()
        return
    for i in range(60):
        yield bytes([65 + i]) * 100001
        made += 1
`)
	forEachPython(t, func(t *testing.T, p Python) {
		if r := (childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "spooled"}).start(t); r.code != 0 {
			t.Fatalf("%+v", r)
		}
	})
}

func TestThreadsOfTheAppThatWriteAtOnceLoseNothing(t *testing.T) {
	dir := write(t, "app.py", `
import threading
made = 0
def app(environ, start_response):
    global made
    write = start_response('200 OK', [])
    if environ['PATH_INFO'] == '/made':
        return [str(made).encode()]
    def some(which):
        for i in range(which, 60, 4): write(bytes([65 + i]) * 100001)
    threads = [threading.Thread(target=some, args=(i,)) for i in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    made = 60
    return []
`)
	if r := (childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "spooled"}).start(t); r.code != 0 {
		t.Fatalf("%+v", r)
	}
}

func TestSmallPiecesThatWaitForTheClientStayAsTheyWere(t *testing.T) {
	dir := write(t, "app.py", `
import threading
def app(environ, start_response):
    write = start_response('200 OK', [])
    def some(which):
        for i in range(which, 40, 4):
            for _ in range(4): write(bytes([65 + i]) * (100 + i))
    threads = [threading.Thread(target=some, args=(i,)) for i in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    return [bytes([65 + i]) * (100 + i) for i in range(40)]
`)
	forEachPython(t, func(t *testing.T, p Python) {
		if r := (childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "small pieces"}).start(t); r.code != 0 {
			t.Fatalf("%+v", r)
		}
	})
}

func TestAnIterableIsStreamedWhateverItsLengthSays(t *testing.T) {
	dir := write(t, "app.py", `
import threading
go = threading.Event()
class Reply:
    def __len__(self):
        return 1
    def __iter__(self):
        yield b'a'
        yield b'b'
        yield b'c'
        go.wait(20)
        yield b'd'
def app(environ, start_response):
    start_response('200 OK', [])
    if environ['PATH_INFO'] == '/go':
        go.set()
        return [b'']
    return Reply()
`)
	if r := (childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "length lies"}).start(t); r.code != 0 {
		t.Fatalf("%+v", r)
	}
}

func TestACloseThatReadsTheBodyDoesNotWaitForIt(t *testing.T) {
	dir := write(t, "app.py", `
said = []
class Reply:
    def __init__(self, input):
        self.input = input
    def __iter__(self):
        return iter([b'a', b'b'])
    def close(self):
        try:
            self.input.read()
        except OSError:
            said.append('OSError')
def app(environ, start_response):
    start_response('200 OK', [])
    return [' '.join(said).encode()] if environ['PATH_INFO'] == '/said' else Reply(environ['wsgi.input'])
`)
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "close reads"}.start(t)
	if r.code != 0 || strings.TrimSpace(r.stdout) != "OSError OSError OSError" {
		t.Fatalf("%+v", r)
	}
}

func TestAListWithAnItemThatIsNoBytesIsRefusedWhole(t *testing.T) {
	dir := write(t, "app.py", "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'a', 'b']\n")
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "not committed"}.start(t)
	if r.code != 0 || !strings.Contains(r.stderr, "PEP 3333 asks for bytes") {
		t.Fatalf("%+v", r)
	}
}

func TestHeadersOverOneMiBAreRefused(t *testing.T) {
	dir := write(t, "app.py", "def app(environ, start_response):\n    start_response('200 OK', [('X', 'v' * 10000)] * 105)\n    return []\n")
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "not committed"}.start(t)
	if r.code != 0 || !strings.Contains(r.stderr, "the headers are longer than 1 MiB") {
		t.Fatalf("%+v", r)
	}
}

func TestAnExcInfoThatSysExcInfoNeverGivesIsATypeError(t *testing.T) {
	dir := write(t, "app.py", `
def app(environ, start_response):
    write = start_response('200 OK', [])
    write(b'x')
    said = []
    for exc_info in ((str, 'abc', None), (1, 2, 3), (ValueError, ValueError('x'), 'no traceback'), (), 5):
        try:
            start_response('500 No', [], exc_info)
        except Exception as e:
            said.append(type(e).__name__)
    try:
        start_response('500 No', [], (ValueError, ValueError('x'), None))
    except ValueError:
        said.append('ValueError')
    return [' '.join(said).encode()]
`)
	forEachPython(t, func(t *testing.T, p Python) {
		r := childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
		if r.code != 0 || strings.TrimSpace(r.stdout) != "x"+strings.Repeat("TypeError ", 5)+"ValueError" {
			t.Fatalf("%+v", r)
		}
	})
}

func TestAProcessForkedByAFinalizerEnds(t *testing.T) {
	dir := write(t, "app.py", `
import os, time
children = []
class Reply:
    def __iter__(self):
        return iter([b''])
    def __del__(self):
        pid = os.fork()
        if pid: children.append(pid)
def app(environ, start_response):
    start_response('200 OK', [])
    if not children:
        return Reply()
    for _ in range(1000):
        pid, status = os.waitpid(children[0], os.WNOHANG)
        if pid: break
        time.sleep(0.01)
    return [('ended' if pid else 'hangs').encode()]
`)
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "get twice"}.start(t)
	if r.code != 0 || strings.TrimSpace(r.stdout) != "ended" {
		t.Fatalf("%+v", r)
	}
}

func TestASignalHandlerThatSetsAHandlerTakesNoSignalFromGo(t *testing.T) {
	dir := write(t, "app.py", answering(`
import signal
state = 'unset'
def handler(number, frame):
    global state
    signal.signal(signal.SIGTERM, lambda *a: None)
    state = 'set'
signal.signal(signal.SIGUSR1, handler)
`, "state"))
	forEachPython(t, func(t *testing.T, p Python) {
		if r := (childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "handler sets a handler"}).start(t); r.code != 0 {
			t.Fatalf("%+v", r)
		}
	})
}
