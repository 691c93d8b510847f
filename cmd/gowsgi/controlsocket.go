package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/control"
)

// controlFlags say where a server's control socket is.
type controlFlags struct {
	Bind          []bind `default:"127.0.0.1:8000" placeholder:"ADDRESS" help:"Where the server listens, by which its control socket is found. Default: ${default}."`
	ControlSocket string `placeholder:"PATH" help:"The server's control socket. Default: found by its first address."`
	Config        string `placeholder:"FILE" help:"The server's TOML file. Default: gowsgi.toml in the current folder, if it is there."`
}

// controlFolder is where control sockets are that no flag names: the service's own folder under systemd, else one that only this user may
// use.
func controlFolder() string {
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		first, _, _ := strings.Cut(dir, ":")
		return first
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "gowsgi")
	}
	return filepath.Join(os.TempDir(), "gowsgi-"+strconv.Itoa(os.Getuid()))
}

// controlPath is where the control socket of the server with that first address is.
func controlPath(flag, address string) string {
	if flag != "" {
		return flag
	}
	path := filepath.Join(controlFolder(), strings.NewReplacer("/", "_", "[", "", "]", "").Replace(address)+".sock")
	if len(path) <= longestSocket {
		return path
	}
	sum := sha256.Sum256([]byte(address))
	return filepath.Join(controlFolder(), hex.EncodeToString(sum[:16])+".sock")
}

// longestSocket is how long the path of a unix socket may be (unix(7)).
const longestSocket = 107

// listenControl makes the control socket, for this user alone.
func listenControl(path string) (*inherited, error) {
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("the control socket's folder: %w", err)
	}
	if dir == controlFolder() && os.Getenv("RUNTIME_DIRECTORY") == "" {
		if err := onlyOurs(dir); err != nil {
			return nil, err
		}
	}
	err := removeStale(path)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the control socket %s is another server's; name one with --control-socket", path)
	}
	if err != nil {
		return nil, fmt.Errorf("the control socket %s: %w", path, err)
	}
	old := syscall.Umask(0o177)
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("the control socket: %w", err)
	}
	ln.SetUnlinkOnClose(false) // see socketFile
	return &inherited{Listener: ln, file: madeSocket(path)}, nil
}

// onlyOurs refuses a folder that somebody else made in a place where all may write, or may change.
func onlyOurs(dir string) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(dir, &st); err != nil {
		return fmt.Errorf("the control socket's folder %s: %w", dir, err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return fmt.Errorf("the control socket's folder %s is not this user's alone; remove it, or name a socket elsewhere with --control-socket", dir)
	}
	return nil
}

// answerCommands does what commands such as "gowsgi reload" ask for, until the socket is closed.
func (m *master) answerCommands() {
	for {
		c, err := m.commands.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptor is free
			time.Sleep(time.Second)
			continue
		}
		go func() {
			conn := control.New(c)
			defer conn.Close()
			order, err := conn.Receive()
			if err != nil {
				return
			}
			answer := control.Message{Kind: control.Result}
			if err := m.command(order); err != nil {
				answer.Code, answer.Text = exitCode(err)
			}
			_ = conn.Send(answer)
		}()
	}
}

func (m *master) command(order control.Message) error {
	switch order.Kind {
	case control.Reload:
		return m.reload()
	case control.Stacks:
		m.tellAll(control.Stacks)
		return nil
	}
	return fmt.Errorf("the server is of another version: it does not know %q", order.Kind)
}

// ask sends an order to the server and waits for its answer.
func (f *controlFlags) ask(kind string) error {
	path := controlPath(f.ControlSocket, f.Bind[0].where())
	c, err := net.Dial("unix", path)
	if err != nil {
		return fmt.Errorf("no server answers at %s (%w); give the server's --bind, --control-socket or --config, and be the user that it was started by", path, err)
	}
	conn := control.New(c)
	defer conn.Close()
	if err := conn.Send(control.Message{Kind: kind}); err != nil {
		return err
	}
	answer, err := conn.Receive()
	switch {
	case err != nil:
		return fmt.Errorf("the server ended before it answered: %w", err)
	case answer.Code != exitFine:
		return &codeError{answer.Code, errors.New(strings.TrimPrefix(answer.Text, "gowsgi: "))}
	}
	return nil
}

// reloadCmd has a server exchange its workers.
type reloadCmd struct{ controlFlags }

// Run returns when all workers run the new code, or why not.
func (c *reloadCmd) Run() error { return c.ask(control.Reload) }

// stacksCmd has a server write the stacks of all Python threads to its log.
type stacksCmd struct{ controlFlags }

// Run returns when the workers have been told.
func (c *stacksCmd) Run() error { return c.ask(control.Stacks) }
