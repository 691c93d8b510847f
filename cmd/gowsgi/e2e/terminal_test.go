package e2e

import (
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminal is what a person has before them: what was written there, and a keyboard.
type terminal struct {
	*devProject
	keyboard *os.File // the pseudo-terminal's other side
	mu       sync.Mutex
	text     []byte // all that was written
	seen     int    // how much of it expect has gone over
}

// devInTerminal starts gowsgi dev in a folder as a terminal's window does that runs it: as leader of the terminal's session.
func devInTerminal(t testing.TB, dir string, o options) *terminal {
	t.Helper()
	term, start := newTerminal(t, dir, o)
	if err := start(); err != nil {
		t.Fatal(err)
	}
	term.stopAtEnd(t)
	return term
}

// devAlone is devInTerminal, but does not wait until the server listens: the test ends it.
func devAlone(t testing.TB, dir string) *terminal {
	t.Helper()
	term, start := newTerminal(t, dir, options{})
	ended := make(chan error, 1)
	go func() { ended <- start() }()
	t.Cleanup(func() {
		_ = term.keyboard.Close() // a server that is still there ends
		<-ended
		term.tailOnFailure(t)
	})
	return term
}

// newTerminal returns a terminal, and what starts gowsgi dev in it and waits until it listens.
func newTerminal(t testing.TB, dir string, o options) (*terminal, func() error) {
	t.Helper()
	s, err := newServer("dev", o)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(int(ours.Fd()), true); err != nil { // else Close waits for who reads
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close() })
	term := &terminal{devProject: &devProject{s, t, dir}, keyboard: ours}
	s.prepare(dir, append(append([]string{"dev", "--port", "0"}, python.args...), o.args...))
	s.cmd.Env = append(s.cmd.Env, "TERM=xterm")
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = theirs, theirs, theirs
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	return term, func() error { return s.begin(io.TeeReader(ours, term), theirs) }
}

// Write keeps what the server wrote.
func (term *terminal) Write(p []byte) (int, error) {
	term.mu.Lock()
	defer term.mu.Unlock()
	term.text = append(term.text, p...)
	return len(p), nil
}

// expect waits for a text after all that it was called for before, and returns what was written up to its end.
func (term *terminal) expect(text string) string {
	term.t.Helper()
	before, ok := term.find(text, 60*time.Second)
	if !ok {
		term.t.Fatalf("%q does not come on the terminal:\n%q", text, before)
	}
	return before
}

// find is expect for at most a time.
func (term *terminal) find(text string, d time.Duration) (before string, ok bool) {
	ok = within(d, func() bool {
		term.mu.Lock()
		defer term.mu.Unlock()
		before = string(term.text[term.seen:])
		i := strings.Index(before, text)
		if i < 0 {
			return false
		}
		term.seen += i + len(text)
		before = before[:i+len(text)]
		return true
	})
	return before, ok
}

// enter types a line.
func (term *terminal) enter(line string) { term.press(line + "\n") }

// press presses keys.
func (term *terminal) press(keys string) {
	term.t.Helper()
	if _, err := term.keyboard.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// written is all that was written.
func (term *terminal) written() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return string(term.text)
}

// count counts a text in all that was written.
func (term *terminal) count(text string) int { return strings.Count(term.written(), text) }

// isSane says whether the terminal is as a shell wants it: it echoes what is typed, and line by line.
func (term *terminal) isSane() bool {
	term.t.Helper()
	var state *unix.Termios
	raw, err := term.keyboard.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { state, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) })
	}
	if err != nil {
		term.t.Fatal(err)
	}
	const want = unix.ECHO | unix.ICANON | unix.ISIG
	return state.Lflag&want == want && state.Oflag&unix.OPOST != 0 && state.Iflag&unix.ICRNL != 0
}

// answer is the response of a request that is under way.
type answer struct {
	status int
	body   string
	err    error
}

// send sends a GET and does not wait for the response.
func (p *devProject) send(path string, header ...string) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		status, body, err := p.ask(path, header...)
		c <- answer{status, body, err}
	}()
	return c
}

// take waits for a response.
func (p *devProject) take(c <-chan answer) answer {
	p.t.Helper()
	select {
	case a := <-c:
		if a.err != nil {
			p.t.Fatal(a.err)
		}
		return a
	case <-time.After(2 * time.Minute):
		p.t.Fatalf("no response:\n%s", p.tail(40))
		panic("not reached")
	}
}
