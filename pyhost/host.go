//go:build cgo

package pyhost

/*
#include "lifecycle.h"
#include "pyhost.h"
#include <stdlib.h>
*/
import "C"

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/gowsgi/gowsgi/pyhost/py"
)

// started is set once CPython's start was tried: it can be tried once in a process.
var started atomic.Bool

// Host is the interpreter of this process. Its methods may be called by any goroutine; Load, Start and Info wait for Python's main thread.
type Host struct {
	options   Options
	log       *slog.Logger
	exchanges exchangeTable
	events    *events
	logging   sync.Mutex // one writer of log lines at a time

	mu       sync.Mutex // the state and the order of calls
	state    hostState
	specs    []string
	imported []string // those of specs that were imported before Go's start and that Load has not given out; "" elsewhere

	exitPipe *os.File
	exit     chan int
}

type hostState int

const (
	stateOpen hostState = iota
	stateRunning
	stateEnded
)

// Open loads libpython and starts CPython as o.Python.Executable would start, on a thread of its own; apps are not imported yet. It
// ignores SIGPIPE in the whole process, as python does, and clones os.Args, whose memory an app may overwrite (setproctitle).
//
// In a process that was forked from a template (package template) CPython runs already and the apps are imported: Load gives their numbers,
// and of the options Threads, Logger, SpoolDir, SpoolLimit and Signals count.
//
// Errors are [ErrOpen], *[LoadError] (after which Open may be called again, with another Python) and *[StartError].
func Open(o Options) (*Host, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if !started.CompareAndSwap(false, true) {
		return nil, ErrOpen
	}
	if !preloaded() {
		if err := load(o.Python.Library); err != nil {
			started.Store(false)
			return nil, err
		}
	}
	for i, arg := range os.Args {
		os.Args[i] = strings.Clone(arg)
	}
	signal.Ignore(syscall.SIGPIPE)

	h := &Host{options: o, log: o.Logger, exit: make(chan int, 1)}
	if err := h.startEvents(); err != nil {
		return nil, err
	}
	if err := h.startPython(); err != nil {
		return nil, err
	}
	if !preloaded() { // else the template has made them
		for _, m := range o.Modules {
			if _, err := h.ask("_gowsgi_host.add_module", m.Name+"\n"+m.Text); err != nil {
				return nil, &StartError{Executable: o.Python.Executable, Reason: err.Error()}
			}
		}
	}
	h.exitPipe = os.NewFile(uintptr(C.ph_exit_fd()), "exit codes from Python")
	go h.readExits()
	return h, nil
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() (Options, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, fmt.Errorf("pyhost: the app's folder %s: %w", o.Dir, err)
	}
	o.Dir = dir
	if o.Threads == 0 {
		o.Threads = 16
	}
	if o.Threads < 0 {
		return o, fmt.Errorf("pyhost: %d Python threads can't serve; give 1 or more", o.Threads)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.SpoolDir == "" {
		o.SpoolDir = os.TempDir()
	}
	if o.SpoolLimit == 0 {
		o.SpoolLimit = 64 << 20
	}
	if o.Signals == nil {
		o.Signals = []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}
	}
	return o, nil
}

// load fills the C side's table from libpython.
func load(library string) error {
	path := C.CString(library)
	defer C.free(unsafe.Pointer(path))
	var e C.ph_load_error
	if C.ph_load(path, &e) == 0 {
		return nil
	}
	version, _, _ := strings.Cut(takeText(e.version), " ")
	return &LoadError{Library: library, Version: version, Symbol: takeText(e.symbol), Reason: takeText(e.reason)}
}

// startPython starts CPython, where it does not run yet, and waits until apps can be imported.
func (h *Host) startPython() error {
	o := &h.options
	var texts []*C.char
	text := func(s string) *C.char {
		c := C.CString(s)
		texts = append(texts, c)
		return c
	}
	defer func() {
		for _, c := range texts {
			C.free(unsafe.Pointer(c))
		}
	}()
	var c C.ph_start_options
	c.python, c.dir, c.spool_dir = text(o.Python.Executable), text(o.Dir), text(o.SpoolDir)
	c.helper, c.api = text(py.Host), text(py.API)
	c.spool_limit = C.int64_t(o.SpoolLimit)
	c.nargs = C.int(len(o.Args))
	args := (**C.char)(C.calloc(C.size_t(len(o.Args)+1), C.size_t(unsafe.Sizeof(uintptr(0)))))
	defer C.free(unsafe.Pointer(args))
	for i, a := range o.Args {
		unsafe.Slice(args, len(o.Args))[i] = text(a)
	}
	c.args = args
	for _, s := range o.Signals {
		if s >= 1 && s <= 64 {
			c.signals |= 1 << (s - 1)
		}
	}
	if o.Multiprocess {
		c.multiprocess = 1
	}
	if preloaded() {
		return h.adopt(&c)
	}
	if reason := C.ph_start(&c); reason != nil {
		return &StartError{Executable: o.Python.Executable, Reason: takeText(reason), Home: os.Getenv("PYTHONHOME")}
	}
	return nil
}

// takeText copies a text that C made, and frees it.
func takeText(c *C.char) string {
	s := C.GoString(c)
	C.free(unsafe.Pointer(c))
	return s
}

// Load imports an app on Python's main thread, and returns its number for [Request]: module:callable (callable is application or app where
// left out; it may have dots), module:factory(), or the path of a .wsgi or .py file. It waits for the import, however long that takes. Before
// Start. A failure is an *[AppError]; other apps can still be loaded then.
func (h *Host) Load(spec string) (app int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != stateOpen {
		return -1, ErrState
	}
	if app, ok := h.takeImported(spec); ok {
		return app, nil
	}
	c := C.CString(spec)
	defer C.free(unsafe.Pointer(c))
	var e C.ph_app_error
	n := int(C.ph_app_load(c, &e))
	if n < 0 {
		return -1, &AppError{Spec: spec, Reason: takeText(e.reason), Traceback: takeText(e.traceback)}
	}
	h.specs = append(h.specs, spec)
	return n, nil
}

// Start calls what the apps gave gowsgi.postfork, and starts the Python threads. Once, after the apps were loaded. A function that raises is
// an *[AppError].
func (h *Host) Start() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != stateOpen {
		return ErrState
	}
	C.ph_gil_timeout(C.int64_t(h.options.GILTimeout))
	if err := h.postfork(); err != nil {
		return err
	}
	if reason := C.ph_run(C.int(h.options.Threads)); reason != nil {
		return fmt.Errorf("pyhost: %d Python threads do not start: %s", h.options.Threads, takeText(reason))
	}
	h.state = stateRunning
	return nil
}

// OwnFD marks a descriptor of the server's (own), to be closed in each process that the app forks, or takes the mark away, which must
// happen before the descriptor is closed. It does not wait.
func (h *Host) OwnFD(fd uintptr, own bool) {
	var mark C.int
	if own {
		mark = 1
	}
	C.ph_fd_own(C.int(fd), mark)
}

// Threads is how many Python threads run apps.
func (h *Host) Threads() int { return h.options.Threads }

// Info asks the interpreter. It is the zero Info after Shutdown, and where the interpreter can't answer.
func (h *Host) Info() Info {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == stateEnded {
		return Info{}
	}
	var n C.size_t
	var reason *C.char
	text := C.ph_info(&n, &reason)
	if text == nil {
		h.log.Error("pyhost: Python does not say what it is", "reason", takeText(reason))
		return Info{}
	}
	facts := takeTexts(text, n)
	info := Info{
		Prefix: facts[0], Executable: facts[1], Version: facts[2], FreeThreaded: facts[3] == "free-threaded",
		Library: h.options.Python.Library,
	}
	for i, spec := range h.specs {
		info.Apps = append(info.Apps, AppInfo{Spec: spec, Framework: facts[4+i]})
	}
	return info
}

// StaticFolders asks an app that Load returned where its static files are: Django's STATIC_URL and STATIC_ROOT, and the static folders of Flask and
// its blueprints. problems say, for people, why some can't be served.
func (h *Host) StaticFolders(app int) (folders []StaticFolder, problems []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == stateEnded || app < 0 || app >= len(h.specs) {
		return nil, nil
	}
	var n C.size_t
	var reason *C.char
	text := C.ph_static_folders(C.int(app), &n, &reason)
	if text == nil {
		return nil, []string{"the host failed while it looked for static files: " + takeText(reason)}
	}
	for row := range slices.Chunk(takeTexts(text, n), 3) {
		switch {
		case len(row) < 3: // behind the last
		case row[2] != "":
			problems = append(problems, row[2])
		default:
			folders = append(folders, StaticFolder{URL: row[0], Dir: row[1]})
		}
	}
	return folders, problems
}

// Ask calls a function of one of the Modules, "module.function", on Python's main thread, with a str, and returns the str that it returns; text and
// function must have no NUL. Where it raises, the error has the traceback. One call runs at a time, and not while Load does; when ctx ends first its error is
// returned, and the call goes on.
func (h *Host) Ask(ctx context.Context, function, text string) (string, error) {
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.state == stateEnded {
			answers <- answer{"", ErrState}
			return
		}
		text, err := h.ask(function, text)
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// ask is Ask where nobody else calls.
func (h *Host) ask(function, text string) (string, error) {
	f, t := C.CString(function), C.CString(text)
	defer C.free(unsafe.Pointer(f))
	defer C.free(unsafe.Pointer(t))
	var n C.size_t
	var reason *C.char
	answer := C.ph_ask(f, t, &n, &reason)
	if answer == nil {
		return "", fmt.Errorf("pyhost: %s: %s", function, takeText(reason))
	}
	defer C.free(unsafe.Pointer(answer))
	return C.GoStringN(answer, C.int(n)), nil
}

// takeTexts copies texts that C made, each ended by a NUL, and frees them. The last is empty.
func takeTexts(c *C.char, n C.size_t) []string {
	defer C.free(unsafe.Pointer(c))
	return strings.Split(C.GoStringN(c, C.int(n)), "\x00")
}

// HandleSignal has the handler that the app set for a signal, if it did, called on Python's main thread. It does not wait. If the handler
// raises SystemExit, [Host.ExitRequested] tells.
func (h *Host) HandleSignal(sig syscall.Signal) { C.ph_signal(C.int(sig)) }

// ExitRequested gives the exit codes of SystemExit that signal handlers of the app raised. A code that nobody takes is kept, the first one
// only.
func (h *Host) ExitRequested() <-chan int { return h.exit }

// readExits passes on what arrives on the exit pipe.
func (h *Host) readExits() {
	var code [4]byte
	for {
		if _, err := io.ReadFull(h.exitPipe, code[:]); err != nil {
			return
		}
		select {
		case h.exit <- int(int32(binary.NativeEndian.Uint32(code[:]))):
		default:
		}
	}
}

// Shutdown waits for the app's non-daemon threads, runs its atexit handlers and flushes its standard streams, on Python's main thread. The
// interpreter stays as it is: the process is to end soon after. Requests should have ended before. When ctx ends first its error is
// returned and the rest is left to run. Once.
func (h *Host) Shutdown(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		h.mu.Lock() // waits for a Load in hand
		defer h.mu.Unlock()
		if h.state == stateEnded {
			done <- ErrState
			return
		}
		h.state = stateEnded
		var err error
		if reason := C.ph_shutdown(); reason != nil {
			err = errors.New("pyhost: Python's end: " + takeText(reason))
		}
		h.writeLog() // what atexit handlers said must not be lost with the process
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("pyhost: Python's threads and atexit handlers did not end in time: %w", ctx.Err())
	}
}
