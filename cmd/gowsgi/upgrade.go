package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/control"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/pidfile"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/reaper"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/supervisor"
)

// An upgrade exchanges the program in the master's place (execve): its process number stays, so that service managers and containers notice
// nothing, and so do the descriptors and the workers. The new program then reloads, which gives workers of the new program; those of the
// old one serve until then, and go on where the new ones fail.

// upgradeVariable holds upgradeCheck, or the number of a descriptor with the upgradeState.
const upgradeVariable = "_GOWSGI_UPGRADE"

// upgradeCheck asks the new program whether it would start with these arguments, variables and file; upgradeFine is its answer.
const (
	upgradeCheck = "check"
	upgradeFine  = "gowsgi can take over"
)

const upgradeCheckTimeout = 20 * time.Second

// upgradeState is what the old program leaves.
type upgradeState struct {
	Listeners []upgradedListener
	Workers   []upgradedWorker
	Commands  upgradedListener
	Handover  [2]int
	Loads     int
	PidFile   int // -1 for none
}

type upgradedListener struct {
	FD            int
	Address, File string
	Setting       listenerSetting
}

type upgradedWorker struct {
	Number, Pid, Control int
	Draining             bool
}

// upgrade does not return where all is well.
func (m *master) upgrade() error {
	m.reloading.Lock()
	defer m.reloading.Unlock()
	m.log.Info("upgrading", "program", m.line.program)
	if err := m.checkUpgrade(); err != nil {
		return err
	}
	err := error(supervisor.ErrStopping)
	m.pool.Quiesce(func(members []supervisor.Member) { err = m.exec(members) })
	return err
}

func (m *master) checkUpgrade() error {
	ctx, cancel := context.WithTimeout(context.Background(), upgradeCheckTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, m.line.program, m.line.args...)
	c.Dir, c.Env = m.line.dir, append(m.line.environ(), upgradeVariable+"="+upgradeCheck)
	c.WaitDelay = time.Second // what it started may hold its output
	var out []byte
	err := m.children.During(func() (err error) {
		out, err = c.CombinedOutput()
		return err
	})
	if err != nil || strings.TrimSpace(string(out)) != upgradeFine {
		return fmt.Errorf("%s would not start: %v: %s", m.line.program, err, out)
	}
	return nil
}

// answerCheck says that this program would start, or returns why not: once it has taken the other's place, a failure would end all.
func (l *commandLine) answerCheck(c *serveCmd, out io.Writer) error {
	m := &master{line: l, log: slog.New(slog.DiscardHandler), children: reaper.NewChildren()}
	if _, err := m.settingsOf(c); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, upgradeFine)
	return err
}

// exec becomes the new program. It returns only where that fails.
func (m *master) exec(members []supervisor.Member) error {
	state := upgradeState{Handover: m.handover, Loads: m.loadsFD, PidFile: -1}
	keep := []int{m.handover[0], m.handover[1], m.loadsFD}
	for _, l := range m.listeners {
		state.Listeners = append(state.Listeners, upgradedListener{int(l.fd()), l.address, l.file.path, l.words.listenerSetting})
		keep = append(keep, int(l.fd()))
	}
	state.Commands.FD, state.Commands.File = int(m.commands.fd()), m.commands.file.path
	keep = append(keep, state.Commands.FD)
	if m.pidFile != nil {
		state.PidFile = m.pidFile.FD()
		keep = append(keep, state.PidFile)
	}
	for _, member := range members {
		w := member.Process.(*workerProcess)
		fd := w.control.FD()
		if fd < 0 { // it has ended
			continue
		}
		state.Workers = append(state.Workers, upgradedWorker{member.Number, w.Pid(), fd, member.Draining})
		keep = append(keep, fd)
	}
	data, err := json.Marshal(state)
	if err != nil {
		return err
	}
	memory, err := unix.MemfdCreate("gowsgi upgrade", 0)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	defer syscall.Close(memory)
	if _, err := syscall.Write(memory, data); err != nil {
		return os.NewSyscallError("write", err)
	}
	for _, fd := range keep {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		defer syscall.CloseOnExec(fd)
	}
	// Until the new program listens to signals they must not end it.
	signal.Ignore(masterSignals...)
	defer signal.Notify(m.signals, masterSignals...)
	if m.last.Load() != 0 {
		return supervisor.ErrStopping
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := os.Chdir(m.line.dir); err != nil {
		return err
	}
	defer func() { _ = os.Chdir(dir) }()
	m.later.flush()
	environ := append(append(m.line.environ(), m.systemd.Environ()...), upgradeVariable+"="+strconv.Itoa(memory))
	err = syscall.Exec(m.line.program, append([]string{os.Args[0]}, m.line.args...), environ)
	return fmt.Errorf("%s: %w", m.line.program, err)
}

// takeUpgrade takes what the program before this one left, nil where there was none.
func takeUpgrade(text string) (*upgradeState, error) {
	if text == "" || text == upgradeCheck {
		return nil, nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "upgrade")
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var state upgradeState
	return &state, json.NewDecoder(f).Decode(&state)
}

// resume takes over listeners and workers.
func (m *master) resume(state *upgradeState) (err error) {
	for _, l := range append([]upgradedListener{state.Commands}, state.Listeners...) {
		ln, err := takeListener(l.FD)
		if err != nil {
			return err
		}
		taken := &inherited{Listener: ln, address: l.Address, file: madeSocket(l.File), words: bindWords{listenerSetting: l.Setting}}
		if m.commands == nil { // it comes first
			m.commands = taken
			continue
		}
		m.listeners = append(m.listeners, taken)
	}
	m.handover = state.Handover
	m.loadsFD = state.Loads
	for _, fd := range []int{m.handover[0], m.handover[1], m.loadsFD} {
		syscall.CloseOnExec(fd)
	}
	if m.loads, err = mapLoads(m.loadsFD); err != nil {
		return err
	}
	if state.PidFile >= 0 {
		m.pidFile = pidfile.Inherit(m.c.PidFile, state.PidFile)
	}
	return nil
}

// adopt takes over the workers.
func (m *master) adopt(state *upgradeState) error {
	var failed []error
	for _, w := range state.Workers {
		f := os.NewFile(uintptr(w.Control), "control")
		conn, err := control.FromFile(f)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		var process *os.Process
		if err := m.children.Start(func() (int, error) {
			process, err = os.FindProcess(w.Pid)
			return w.Pid, err
		}); err != nil {
			failed = append(failed, err)
			continue
		}
		m.pool.Adopt(w.Number, m.take(w.Number, process, conn), w.Draining)
	}
	return errors.Join(failed...)
}

// finishUpgrade gives the new program workers of its own.
func (m *master) finishUpgrade() {
	if err := m.reload(); err != nil && !errors.Is(err, supervisor.ErrStopping) {
		m.log.Error("this program serves with workers of the one before, until a reload succeeds")
		m.certify(m.settings.Load().ACME)
	}
}
