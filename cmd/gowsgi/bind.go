package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bind is an address to listen on: host:port, :port, [::1]:port, unix:PATH, or fd:N for a socket that listens already; and words after it.
type bind struct {
	network, address string
	words            bindWords
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *bind) UnmarshalText(text []byte) error {
	address, words := cutWords(string(text))
	if err := b.parseAddress(address); err != nil {
		return err
	}
	b.words = bindWords{}
	if err := b.words.parse(words, b.network); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	if b.isAbstract() && b.words.owned() {
		return fmt.Errorf("%q: an abstract socket has no mode and no owner", text)
	}
	return nil
}

// parseAddress leaves the words as they are.
func (b *bind) parseAddress(s string) error {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" {
			return fmt.Errorf("%q names no path", s)
		}
		b.network, b.address = "unix", path
		return nil
	}
	if number, ok := strings.CutPrefix(s, "fd:"); ok {
		if _, err := strconv.ParseUint(number, 10, 31); err != nil {
			return fmt.Errorf("%q: %q is not the number of a descriptor", s, number)
		}
		b.network, b.address = "fd", number
		return nil
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not host:port, [IPv6 address]:port, :port, unix:PATH or fd:N", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q: %q is not a port", s, port)
	}
	b.network, b.address = "tcp", s
	return nil
}

// String is what UnmarshalText reads.
func (b bind) String() string { return b.where() + b.words.String() }

// isAbstract: unix(7), "abstract".
func (b bind) isAbstract() bool { return b.network == "unix" && strings.HasPrefix(b.address, "@") }

// where is the address without the words.
func (b bind) where() string {
	if b.network == "tcp" {
		return b.address
	}
	return b.network + ":" + b.address
}

// inUseTime is how long an address may be in use: the workers of a master that was killed let go of it a moment later.
const inUseTime = time.Second

// inUseError is an address that another process has.
type inUseError string

func (e inUseError) Error() string {
	return "can't listen on " + string(e) + ": another process listens there; stop it or choose another address with --bind"
}

// listen binds the address.
func (b bind) listen() (net.Listener, error) {
	ln, err := b.tryListen()
	for end := time.Now().Add(inUseTime); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
		ln, err = b.tryListen()
	}
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, inUseError(b.where())
	case errors.Is(err, syscall.EACCES) && b.network == "tcp":
		return nil, fmt.Errorf("can't listen on %s: ports below 1024 need root or CAP_NET_BIND_SERVICE", b.where())
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return nil, fmt.Errorf("can't listen on %s: %w", b.where(), err)
}

func (b bind) tryListen() (net.Listener, error) {
	switch b.network {
	case "fd":
		return listenFD(b.address)
	case "unix":
		return b.listenUnix()
	}
	return net.Listen("tcp", b.address)
}

// removeStale removes the socket that a server left which did not end by itself: nobody listens on it.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file of that name, and it is no socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return syscall.EADDRINUSE
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return fmt.Errorf("whether a server listens there can't be told: %w", err)
}

// listenFD takes over a listening socket that was inherited.
func listenFD(number string) (net.Listener, error) {
	fd, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	listening, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	switch {
	case errors.Is(err, syscall.EBADF):
		return nil, errors.New("the descriptor is not open")
	case err != nil || listening == 0:
		return nil, errors.New("the descriptor is not a listening socket")
	}
	return takeListener(fd)
}

// takeListener makes a listener of a descriptor, and closes that: FileListener works on a copy, which is not inherited further.
func takeListener(fd int) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), "fd:"+strconv.Itoa(fd))
	defer f.Close()
	return net.FileListener(f)
}

// bound is the address as where gives it, with the port that was found where it asks for any.
func (b bind) bound(ln net.Listener) string {
	if _, port, err := net.SplitHostPort(b.address); b.network == "tcp" && err == nil && port == "0" {
		return ln.Addr().String()
	}
	return b.where()
}

// listenAll binds all addresses, or none.
func listenAll(binds []bind) ([]*inherited, error) {
	var all []*inherited
	for _, b := range binds {
		ln, err := b.listen()
		if err != nil {
			closeAll(all)
			return nil, err
		}
		path := ""
		if b.network == "unix" && !b.isAbstract() {
			ln.(*net.UnixListener).SetUnlinkOnClose(false) // see socketFile
			path = b.address
		}
		all = append(all, &inherited{Listener: ln, address: b.bound(ln), file: madeSocket(path), words: b.words})
	}
	return all, nil
}

func closeAll(all []*inherited) {
	for _, l := range all {
		_ = l.Close()
	}
}

// listenerURL is where a listener can be reached: http://host:port or unix:PATH.
func listenerURL(ln net.Listener) string {
	if ln.Addr().Network() == "unix" {
		return "unix:" + ln.Addr().String()
	}
	return "http://" + ln.Addr().String()
}
