package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/certs"
	"github.com/gowsgi/gowsgi/gateway"
)

// renewTime is how long before its end a certificate should have been renewed.
const renewTime = 14 * 24 * time.Hour

// server adds what the flags tell.
func (f *findings) server(c *serveCmd, tlsFiles *certs.Settings, now time.Time) {
	if os.Geteuid() == 0 && c.User == "" {
		f.add(levelWarning, "--user", "the apps run as root", "--user NAME, or have the service manager start gowsgi as another user")
	}
	f.bind(c)
	if len(c.RequestTimeout) == 0 {
		f.add(levelNote, "--request-timeout", "a request that hangs holds a Python thread for ever", "--request-timeout 30s, or what the slowest page needs")
	}
	if c.AccessLog == "" {
		f.add(levelNote, "--access-log", "requests are not logged here", "--access-log -, unless the proxy in front does it")
	}
	f.connections(int(c.MaxConnections), openFiles())
	if tlsFiles != nil {
		for _, p := range tlsFiles.Pairs {
			f.certificate(p, now)
		}
	}
}

// bind adds what the addresses tell.
func (f *findings) bind(c *serveCmd) {
	encrypted := len(c.Certfile)+len(c.ACME) > 0
	anyone := slices.ContainsFunc(c.TrustedProxy, func(p gateway.TrustedProxy) bool { return p.String() == "*" })
	for _, b := range c.Bind {
		plain := (!encrypted || b.words.Plain) && !b.words.Redirect
		local := b.isLocal()
		switch {
		case b.network == "fd": // it may be anything
		case anyone && !local:
			f.add(levelWarning, "--trusted-proxy", fmt.Sprintf("whoever can connect to %s can say who the client is", b.where()),
				"the proxy's address or network instead of *, or a --bind that only the proxy can reach")
		case len(c.TrustedProxy) == 0 && local && plain && !b.words.ProxyProtocol:
			f.add(levelWarning, "--bind", fmt.Sprintf("only this machine can connect to %s, so a proxy stands in front, whose word is not taken: "+
				"for the app each client has its address, and https is http", b.where()),
				"--trusted-proxy "+trustFor(b)+", if the proxy sets or removes X-Forwarded-*; or a --bind that clients can reach")
		case len(c.TrustedProxy) == 0 && !local && plain && !b.words.ProxyProtocol:
			f.add(levelNote, "--bind", fmt.Sprintf("clients speak plain HTTP to %s: passwords and cookies can be read on the way", b.where()),
				"--certfile or --acme, or a proxy with TLS and --trusted-proxy")
		}
	}
}

// trustFor is the --trusted-proxy for a proxy on this machine.
func trustFor(b bind) string {
	if b.network == "unix" {
		return "unix"
	}
	if host, _, _ := net.SplitHostPort(b.address); strings.Contains(host, ":") {
		return "::1"
	}
	return "127.0.0.1"
}

// isLocal says whether only this machine can connect, as far as the address tells.
func (b bind) isLocal() bool {
	if b.network != "tcp" {
		return b.network == "unix"
	}
	host, _, _ := net.SplitHostPort(b.address)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// fewConnections is what a site can run out of.
const fewConnections = 4096

// connections compares --max-connections with how many files a worker may have open: a quarter of these is not for connections.
func (f *findings) connections(most, files int) {
	const mend = "ulimit -n, LimitNOFILE= of systemd, or a lower --max-connections"
	switch allowed := files / 4 * 3; {
	case most > allowed:
		f.add(levelWarning, "--max-connections", fmt.Sprintf("a worker has %d connections at most, not %d: it may open %d files", allowed, most, files), mend)
	case most == 0 && allowed < fewConnections:
		f.add(levelNote, "--max-connections", fmt.Sprintf("a worker has %d connections at most: it may open %d files", allowed, files), "ulimit -n, or LimitNOFILE= of systemd")
	}
}

// openFiles is how many files the process may have open. Go raises the soft limit to the hard one.
func openFiles() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 1 << 30
	}
	return int(min(l.Max, 1<<30))
}

// certificate adds what is wrong with one, or will be soon.
func (f *findings) certificate(p *certs.Pair, now time.Time) {
	const mend = "renew it; the file is read anew when it changes"
	c, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		return // it was read before
	}
	switch end := c.Leaf.NotAfter; {
	case now.After(end):
		f.add(levelError, "--certfile", fmt.Sprintf("%s has expired on %s", p.CertFile, end.Format(time.DateOnly)), mend)
	case now.Add(renewTime).After(end):
		f.add(levelWarning, "--certfile", fmt.Sprintf("%s expires on %s", p.CertFile, end.Format(time.DateOnly)), mend)
	}
	if st, err := os.Stat(p.KeyFile); err == nil && st.Mode().Perm()&0o004 != 0 {
		f.add(levelWarning, "--keyfile", fmt.Sprintf("every user of this machine can read %s", p.KeyFile), "chmod o-r "+p.KeyFile)
	}
}

// spool looks at the folder for long bodies. may says what the server's user may do there.
func (f *findings) spool(dir string, may func(path string, mode uint32) error) {
	if err := may(dir, unix.W_OK|unix.X_OK); err != nil {
		f.add(levelError, "--spool-dir", fmt.Sprintf("long bodies can't be kept in %s: %v", dir, err), "a folder that the server's user can write to")
		return
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err == nil && st.Type == unix.TMPFS_MAGIC {
		f.add(levelNote, "--spool-dir", fmt.Sprintf("%s is in memory (tmpfs): long bodies take that instead of disk", dir), "--spool-dir /var/tmp, or another folder on a disk")
	}
}
