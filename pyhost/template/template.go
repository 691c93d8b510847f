//go:build cgo

package template

/*
#include "template.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/pyhost"
	"github.com/gowsgi/gowsgi/pyhost/py"
)

// Template is a process that has imported the apps. Its methods may be called by any goroutine.
type Template struct {
	options Options
	log     *slog.Logger
	process *os.Process
	conn    *net.UnixConn
	forking sync.Mutex  // one order at a time
	answers chan packet // closed when the template has no more to say
	done    chan struct{}
	state   *os.ProcessState // after done
}

// packet is one from the template.
type packet struct {
	letter byte
	fields []string
}

// stopGrace is how long a template may take to see that it is to end. It does so at once unless the app's functions keep it.
const stopGrace = 2 * time.Second

// lastWords is how long what a template said before its end may take to be read.
const lastWords = time.Second

// nameRoom is how long a worker's name may be.
const nameRoom = 64

// Start starts a template and waits until it has imported the apps, however long that takes; when ctx ends first the template is killed. The
// calling process becomes the parent of the workers that are forked later, and of every other orphan among its descendants
// (PR_SET_CHILD_SUBREAPER): it has to wait for them.
//
// Errors are those of [pyhost.Open] and [pyhost.Host.Load], and where a warm-up request fails or the import left threads an
// *[pyhost.AppError].
func Start(ctx context.Context, o Options) (*Template, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl", err)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Child == nil {
		o.Child = func(start func() (int, error)) error {
			_, err := start()
			return err
		}
	}
	if o.Ended == nil {
		o.Ended = func(int) {}
	}
	t := &Template{options: o, log: o.Logger, answers: make(chan packet, 1), done: make(chan struct{})}
	if err := t.spawn(); err != nil {
		if t.conn != nil {
			_ = t.conn.Close()
		}
		return nil, fmt.Errorf("pyhost/template: %w", err)
	}
	go t.read()
	go func() {
		t.state, _ = t.process.Wait()
		o.Ended(t.process.Pid)
		// Its last words are there to be read. A process that it left behind may hold the socket.
		_ = t.conn.SetReadDeadline(time.Now().Add(lastWords))
		close(t.done)
	}()
	stop := context.AfterFunc(ctx, t.kill)
	err := t.settle()
	stop()
	if ctx.Err() != nil {
		err = fmt.Errorf("pyhost/template: the import of %s: %w", t.specs(), context.Cause(ctx))
	}
	if err != nil {
		t.kill()
		_ = t.conn.Close()
		<-t.done
		return nil, err
	}
	return t, nil
}

// spawn starts the process.
func (t *Template) spawn() error {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer syscall.Close(fds[1])
	ours := os.NewFile(uintptr(fds[0]), "template")
	conn, err := net.FileConn(ours)
	_ = ours.Close()
	if err != nil {
		return err
	}
	t.conn = conn.(*net.UnixConn)
	stdin := 0
	if !t.options.Stdin {
		if stdin, err = syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err != nil {
			return err
		}
		defer syscall.Close(stdin)
	}
	// Numbers, not files: (*os.File).Fd would make standard output block for all that share it.
	files := []uintptr{uintptr(stdin), 1, 2, uintptr(fds[1])}
	for i, f := range []*os.File{nil, t.options.Stdout, t.options.Stderr} {
		if f != nil {
			files[i] = f.Fd()
		}
	}
	// The spaces are room for the workers' names.
	name := fmt.Sprintf("%-*s", nameRoom, C.TEMPLATE_NAME)
	return t.options.Child(func() (pid int, err error) {
		pid, _, err = syscall.StartProcess("/proc/self/exe", []string{name}, &syscall.ProcAttr{
			Env: os.Environ(), Files: files,
			Sys: &syscall.SysProcAttr{Setpgid: true}, // a terminal's Ctrl-C is not for it
		})
		if err != nil {
			return 0, os.NewSyscallError("fork/exec", err)
		}
		t.process, err = os.FindProcess(pid)
		return pid, err
	})
}

// settle tells the template what to import and waits for the outcome.
func (t *Template) settle() error {
	if err := t.send(); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("pyhost/template: the settings can't be sent: %w", err)
	}
	a, ok := <-t.answers
	if !ok {
		<-t.done
		return fmt.Errorf("pyhost/template: the process that imports %s ended while it was starting: %s", t.specs(), t.state)
	}
	return t.failure(a)
}

// send sends the settings.
func (t *Template) send() error {
	o := &t.options
	var err error
	set := func(letter byte, fields ...string) {
		text := string(letter) + strings.Join(fields, "\x00")
		if err == nil && len(text) > C.TEMPLATE_PACKET {
			err = syscall.EMSGSIZE
		}
		if err == nil {
			_, err = t.conn.Write([]byte(text))
		}
	}
	set(C.SET_FILES, strconv.Itoa(o.Files))
	set(C.SET_LIBRARY, o.Python.Library)
	set(C.SET_EXECUTABLE, o.Python.Executable)
	for _, a := range o.Args {
		set(C.SET_ARG, a)
	}
	set(C.SET_DIR, o.Dir)
	set(C.SET_HOST, py.Host)
	set(C.SET_API, py.API)
	set(C.SET_PRELOAD, py.Preload)
	for _, m := range o.Modules {
		set(C.SET_ASK, "_gowsgi_host.add_module", m.Name+"\n"+m.Text)
	}
	for _, c := range o.Calls {
		set(C.SET_ASK, c.Function, c.Text)
	}
	for _, a := range o.Apps {
		set(C.SET_APP, a.Prefix, a.Spec)
	}
	for _, path := range o.Warmup {
		set(C.SET_WARM, path)
	}
	if o.Force {
		set(C.SET_FORCE)
	}
	if o.Multiprocess {
		set(C.SET_MULTIPROCESS)
	}
	set(C.SET_GO)
	return err
}

// failure is the error that an answer to the settings stands for, nil where the apps are imported.
func (t *Template) failure(a packet) error {
	f := append(a.fields, "", "", "")
	switch a.letter {
	case C.TELL_READY:
		return nil
	case C.TELL_BAD_LIBRARY:
		version, _, _ := strings.Cut(f[1], " ")
		return &pyhost.LoadError{Library: t.options.Python.Library, Symbol: f[0], Version: version, Reason: f[2]}
	case C.TELL_BAD_START:
		return &pyhost.StartError{Executable: t.options.Python.Executable, Reason: f[0], Home: os.Getenv("PYTHONHOME")}
	case C.TELL_BAD_APP:
		if f[0] == "" {
			f[0] = t.specs()
		}
		return &pyhost.AppError{Spec: f[0], Reason: f[1], Traceback: f[2]}
	}
	return errors.New("pyhost/template: " + f[0])
}

// specs names the apps.
func (t *Template) specs() string {
	var all []string
	for _, a := range t.options.Apps {
		all = append(all, a.Spec)
	}
	return strings.Join(all, ", ")
}

// read takes what the template says, until it has gone.
func (t *Template) read() {
	defer close(t.answers)
	buffer := make([]byte, C.TEMPLATE_PACKET)
	for {
		n, err := t.conn.Read(buffer)
		if err != nil || n == 0 {
			return
		}
		p := packet{buffer[0], strings.Split(strings.TrimSuffix(string(buffer[1:n]), "\x00"), "\x00")}
		if p.letter == C.TELL_LOG && len(p.fields) == 2 {
			level, _ := strconv.Atoi(p.fields[0])
			t.log.Log(context.Background(), slog.Level(level), strings.TrimRight(p.fields[1], "\n"))
			continue
		}
		t.answers <- p // one for each order
	}
}

// Fork makes a worker: a process with the template's apps and with these descriptors as its own 3, 4 and so on, closed on exec, which goes on
// as this program's main. The caller's stay the caller's. name is the worker's os.Args[0], 64 bytes at most. The caller waits for the
// process. When ctx ends before the template has answered, the template is killed.
func (t *Template) Fork(ctx context.Context, name string, fds []uintptr) (pid int, err error) {
	t.forking.Lock()
	defer t.forking.Unlock()
	var numbers []int
	for _, fd := range fds {
		numbers = append(numbers, int(fd))
	}
	order := append([]byte{C.ORDER_FORK}, name...)
	if _, _, err := t.conn.WriteMsgUnix(order, syscall.UnixRights(numbers...), nil); err != nil {
		return 0, t.gone(err)
	}
	select {
	case a, ok := <-t.answers:
		if !ok {
			return 0, t.gone(nil)
		}
		if a.letter != C.TELL_FORKED {
			return 0, fmt.Errorf("pyhost/template: a worker can't be forked: %s", strings.Join(a.fields, " "))
		}
		return strconv.Atoi(a.fields[0])
	case <-ctx.Done():
		t.kill()
		return 0, fmt.Errorf("pyhost/template: the template did not fork a worker: %w", context.Cause(ctx))
	}
}

// gone is the error of an order to a template that has ended.
func (t *Template) gone(err error) error {
	select {
	case <-t.done:
		return fmt.Errorf("pyhost/template: the template has ended: %s", t.state)
	case <-time.After(stopGrace):
		return fmt.Errorf("pyhost/template: the template does not answer: %w", errors.Join(err, os.ErrDeadlineExceeded))
	}
}

// Pid is the template's process id.
func (t *Template) Pid() int { return t.process.Pid }

// Done is closed when the template has ended; its workers live on.
func (t *Template) Done() <-chan struct{} { return t.done }

// Stop ends the template, without Python's own end: what the apps left for that is the workers' to do. It returns when the process is gone.
func (t *Template) Stop() {
	_ = t.conn.Close()
	select {
	case <-t.done:
	case <-time.After(stopGrace):
		t.kill()
		<-t.done
	}
}

// kill ends the template and what the apps started while they were imported.
func (t *Template) kill() { _ = syscall.Kill(-t.process.Pid, syscall.SIGKILL) }
