package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func at(network, address string) bind { return bind{network: network, address: address} }

func TestABindIsAnAddressAPathOrADescriptor(t *testing.T) {
	for in, want := range map[string]bind{
		"127.0.0.1:8000": at("tcp", "127.0.0.1:8000"), ":8000": at("tcp", ":8000"), "[::1]:0": at("tcp", "[::1]:0"), "localhost:80": at("tcp", "localhost:80"),
		"unix:/run/a b.sock": at("unix", "/run/a b.sock"), "unix:x.sock": at("unix", "x.sock"), "fd:3": at("fd", "3"),
	} {
		var got bind
		if err := got.UnmarshalText([]byte(in)); err != nil || got != want {
			t.Errorf("%q: got %+v, %v", in, got, err)
		}
		if got.String() != in {
			t.Errorf("%q became %q", in, got)
		}
	}
	for _, in := range []string{"", "8000", "localhost", "::1:80", "host:http", "host:65536", "host:-1", "unix:", "fd:", "fd:x", "fd:-1", "host:"} {
		var got bind
		if err := got.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was taken for %+v", in, got)
		}
	}
}

func mustListen(t *testing.T, b bind) net.Listener {
	t.Helper()
	ln, err := b.listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func wantListenError(t *testing.T, b bind, parts ...string) {
	t.Helper()
	ln, err := b.listen()
	if err == nil {
		ln.Close()
		t.Fatalf("%s was bound", b)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	ln := mustListen(t, at("tcp", "127.0.0.1:0"))
	wantListenError(t, at("tcp", ln.Addr().String()), ln.Addr().String(), "another process listens there", "--bind")
}

func TestAStaleUnixSocketIsReplacedAndALiveOneIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()

	ln := mustListen(t, at("unix", path))
	if got := listenerURL(ln); got != "unix:"+path {
		t.Errorf("url %q", got)
	}
	wantListenError(t, at("unix", path), path, "another process listens there")
	ln.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left after Close: %v", err)
	}
}

func TestAFileIsNeverReplacedByASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantListenError(t, at("unix", path), path, "no socket")
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
	wantListenError(t, at("unix", filepath.Join(path, "x")), "not a directory")
}

func TestAnInheritedListeningSocketIsTakenOver(t *testing.T) {
	tcp, ok := mustListen(t, at("tcp", "127.0.0.1:0")).(*net.TCPListener)
	if !ok {
		t.Fatal("no TCP listener")
	}
	f, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := syscall.Dup(int(f.Fd())) // is closed by who takes it over
	if err != nil {
		t.Fatal(err)
	}
	ln := mustListen(t, at("fd", strconv.Itoa(fd)))
	if ln.Addr().String() != tcp.Addr().String() {
		t.Errorf("listens on %v, not %v", ln.Addr(), tcp.Addr())
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestADescriptorThatDoesNotListenIsRefused(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	wantListenError(t, bind{network: "fd", address: strconv.Itoa(int(r.Fd()))}, "not a listening socket")
	wantListenError(t, at("fd", "1000000"), "fd:1000000", "not open")
}

func TestWhereOneAddressCannotBeBoundNoneIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taken := mustListen(t, at("tcp", "127.0.0.1:0"))
	if _, err := listenAll([]bind{at("unix", path), at("tcp", taken.Addr().String())}); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestWordsAfterAnAddressSayHowItIsServed(t *testing.T) {
	for in, want := range map[string]bindWords{
		":80":                      {},
		":80 redirect":             {listenerSetting: listenerSetting{Redirect: true}},
		"10.0.0.1:80 plain":        {listenerSetting: listenerSetting{Plain: true}},
		"[::1]:80 proxy-protocol":  {listenerSetting: listenerSetting{ProxyProtocol: true}},
		"fd:3 proxy-protocol":      {listenerSetting: listenerSetting{ProxyProtocol: true}},
		"unix:/run/a b.sock plain": {listenerSetting: listenerSetting{Plain: true}},
		"unix:s mode=0660 user=www-data group=4 proxy-protocol plain": {0o660, "www-data", "4", listenerSetting{ProxyProtocol: true, Plain: true}},
		"unix:s mode=0007":            {mode: 0o007},
		"unix:@name proxy-protocol":   {listenerSetting: listenerSetting{ProxyProtocol: true}},
		":80 proxy-protocol redirect": {listenerSetting: listenerSetting{ProxyProtocol: true, Redirect: true}},
	} {
		var got, again bind
		if err := got.UnmarshalText([]byte(in)); err != nil || got.words != want || got.String() != in {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%q came back as %+v, %v", got, again, err)
		}
	}
	var spaced bind
	if err := spaced.UnmarshalText([]byte("unix:/run/a b.sock   user=x  mode=660 ")); err != nil || spaced.String() != "unix:/run/a b.sock mode=0660 user=x" {
		t.Errorf("%q, %v", spaced, err)
	}
	for in, part := range map[string]string{
		":80 tls": "not \"tls\"", ":80 proxy_protocol": "did you mean proxy-protocol?", ":80 plain plain": "twice", ":80 plain redirect": "exclude",
		":80 mode=0660": "mode= is for unix sockets", "fd:3 user=x": "user= is for unix sockets", "unix:s mode=": "no value", "unix:s mode=0888": "no mode",
		"unix:s mode=0": "no mode", "unix:s mode=1777": "no mode", "unix:s mode": "did you mean mode=?", "unix:s mod=0660": "did you mean mode=?", "unix:s owner=x": "not \"owner=x\"",
		"unix:s proxyprotocol": "did you mean proxy-protocol?", "unix:s user=a user=b": "twice", "unix:@s mode=0660": "abstract", "unix: plain": "names no path", ":80 plain=1": "not \"plain=1\"",
	} {
		var got bind
		if err := got.UnmarshalText([]byte(in)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %+v, %v, expected %q", in, got, err, part)
		}
	}
}

func TestAUnixSocketHasTheModeAndOwnerThatWereAskedFor(t *testing.T) {
	before := syscall.Umask(0o022)
	defer syscall.Umask(before)
	isRoot := os.Getuid() == 0
	me, group := strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getgid())
	wantUID, wantGID := os.Getuid(), os.Getgid()
	if isRoot {
		me, group, wantUID, wantGID = "54321", "54322", 54321, 54322
	}
	for words, want := range map[bindWords]struct {
		mode     os.FileMode
		uid, gid int
	}{
		{}:                                    {0o755, os.Getuid(), os.Getgid()},
		{mode: 0o666}:                         {0o666, os.Getuid(), os.Getgid()}, // more than the umask lets
		{mode: 0o600}:                         {0o600, os.Getuid(), os.Getgid()},
		{user: me}:                            {0o755, wantUID, os.Getgid()},
		{group: group}:                        {0o755, os.Getuid(), wantGID},
		{mode: 0o660, user: me, group: group}: {0o660, wantUID, wantGID},
	} {
		b := bind{"unix", filepath.Join(t.TempDir(), "s"), words}
		mustListen(t, b)
		st, err := os.Lstat(b.address)
		if err != nil {
			t.Fatal(err)
		}
		if s := st.Sys().(*syscall.Stat_t); st.Mode().Perm() != want.mode || int(s.Uid) != want.uid || int(s.Gid) != want.gid || st.Mode().Type() != os.ModeSocket {
			t.Errorf("%q: %v %d:%d, expected %v", b, st.Mode(), s.Uid, s.Gid, want)
		}
	}
	if mask := syscall.Umask(0o022); mask != 0o022 {
		t.Errorf("the umask is %03o afterwards", mask)
	}
	for word, part := range map[string]string{"user=rooot": "user=rooot: there is no such user; did you mean root?", "group=no-such-group-here": "there is no such group"} {
		var b bind
		if err := b.UnmarshalText([]byte("unix:" + filepath.Join(t.TempDir(), "s") + " " + word)); err != nil {
			t.Fatal(err)
		}
		wantListenError(t, b, b.address, part)
		if _, err := os.Lstat(b.address); !os.IsNotExist(err) {
			t.Errorf("%s: the socket is left: %v", word, err)
		}
	}
}

func TestALinkInTheSocketsPlaceIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if err := giveSocket(path, -1, -1, 0o666); err == nil {
			t.Errorf("%s was given away", path)
		}
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

func TestSocketsOfSystemdHaveTheWordsOfTheirAddress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	passed := []net.Listener{mustListen(t, at("unix", path)), mustListen(t, at("tcp", "127.0.0.1:0")), mustListen(t, at("tcp", ":0"))}
	_, port, _ := net.SplitHostPort(passed[1].Addr().String())
	_, any, _ := net.SplitHostPort(passed[2].Addr().String())
	parse := func(texts ...string) (all []bind) {
		for _, text := range texts {
			var b bind
			if err := b.UnmarshalText([]byte(text)); err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
		return all
	}
	for i, texts := range [][]string{{"unix:" + path + " plain", "fd:3 plain"}, {"127.0.0.1:" + port + " plain", ":" + port + " plain", "fd:4 plain"}, {":" + any + " plain", "[::]:" + any + " plain"}} {
		for _, text := range texts {
			words, err := wordsOf(passed, parse("127.0.0.1:8000", text))
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			for j, w := range words {
				if w.Plain != (i == j) {
					t.Errorf("%s: socket %d has %q", text, j, w)
				}
			}
		}
	}
	for text, part := range map[string]string{"127.0.0.1:1 plain": "no socket of that address", "unix:" + path + " mode=0660": "SocketMode=", "127.0.0.2:" + port + " plain": "no socket", "fd:6 plain": "no socket"} {
		if _, err := wordsOf(passed, parse(text)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if words, err := wordsOf(passed, parse(":1", "unix:/nowhere")); err != nil || words[0] != (bindWords{}) {
		t.Errorf("%v, %v", words, err)
	}
}
