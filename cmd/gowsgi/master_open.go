package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/logfile"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/pidfile"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/privileges"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/systemd"
)

// open makes all that the master holds: log, pid file, addresses, control socket; and gives up root's rights between.
func (m *master) open(log io.Writer) error {
	c := m.c
	m.later = newLaterWriter()
	if m.log = newLogger(m.later.to(log)); m.dev != nil {
		m.log = m.dev.logger(m.later.to(log))
	}
	passed, err := m.takeSystemd()
	if err != nil {
		return err
	}
	dir, _, err := c.enter(m.line.dir) // relative paths start there
	if err != nil {
		return err
	}
	// While root may read the key.
	if m.tls, err = c.tlsFlags.settings(dir, len(c.ACME) > 0, nil, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	c.Umask.Set()
	identity, err := lookup(c)
	if err != nil {
		return err
	}
	if c.LogFile != "" {
		if m.logPath, err = filepath.Abs(c.LogFile); err != nil {
			return err
		}
		if m.logFile, err = logfile.Open(m.logPath, logfile.RedirectStdio()); err != nil {
			return err
		}
		m.log = newLogger(m.later.to(m.logFile))
	}
	if m.accessPath, err = makeAccessLog(c.AccessLog); err != nil {
		return err
	}
	if m.before, err = takeUpgrade(m.line.upgrade); err != nil {
		return err
	}
	if m.before != nil {
		err = m.resume(m.before)
	} else {
		err = m.begin(passed, identity)
	}
	if err != nil {
		return err
	}
	settings, err := m.settingsOf(c)
	if err != nil {
		return err
	}
	m.settings.Store(settings)
	if m.before != nil {
		return nil // its own template comes with the reload
	}
	t, err := m.startTemplate(settings)
	m.template.Store(t)
	return err
}

// begin makes what an upgrade passes on: pid file, addresses, what the workers share; and gives up root's rights.
func (m *master) begin(passed []net.Listener, identity *privileges.Identity) error {
	if m.c.PidFile != "" {
		path, err := filepath.Abs(m.c.PidFile)
		if err != nil {
			return err
		}
		m.c.PidFile = path
		if m.pidFile, err = pidfile.Write(path); err != nil {
			return err
		}
	}
	// Before Python: an address in use shows at once, and clients of a restarted server wait instead of being refused.
	if err := m.listen(passed); err != nil {
		return err
	}
	var err error
	if m.commands, err = listenControl(controlPath(m.c.ControlSocket, m.listeners[0].address)); err != nil {
		return err
	}
	if identity != nil {
		if err := m.become(identity); err != nil {
			return err
		}
	}
	if m.handover[0], m.handover[1], err = newHandover(); err != nil {
		return err
	}
	m.loads, m.loadsFD, err = newLoads()
	return err
}

// takeSystemd takes what the service manager passed, out of the environment too.
func (m *master) takeSystemd() (passed []net.Listener, err error) {
	if passed, err = systemd.Listeners(); err != nil {
		return nil, err
	}
	m.systemd, err = systemd.TakeNotifier()
	return passed, err
}

// lookup finds whom to become, nil for nobody else.
func lookup(c *serveCmd) (*privileges.Identity, error) {
	if c.User == "" && c.Group == "" {
		return nil, nil
	}
	identity, err := privileges.Lookup(c.User, c.Group)
	if err != nil {
		return nil, &codeError{exitUsage, err}
	}
	return identity, nil
}

// listen binds the addresses, or takes those that systemd bound.
func (m *master) listen(passed []net.Listener) (err error) {
	if len(passed) == 0 {
		m.listeners, err = listenAll(m.c.Bind)
		return err
	}
	words, err := wordsOf(passed, m.c.Bind)
	if err != nil {
		return &codeError{exitUsage, err}
	}
	for i, ln := range passed {
		m.listeners = append(m.listeners, &inherited{
			Listener: ln, address: strings.TrimPrefix(listenerURL(ln), "http://"), file: madeSocket(""), words: words[i],
		})
	}
	m.log.Info("systemd's sockets are served; of --bind only the words after their addresses count")
	return nil
}

// become gives what was made to the identity, and turns into it.
func (m *master) become(identity *privileges.Identity) error {
	paths := []string{m.logPath, m.accessPath, controlPath(m.c.ControlSocket, m.listeners[0].address)}
	for _, l := range m.listeners {
		if l.words.user == "" && l.words.group == "" {
			paths = append(paths, l.file.path)
		}
	}
	for _, path := range paths {
		if path == "" {
			continue
		}
		if err := identity.Own(path); err != nil {
			return fmt.Errorf("%s can't be given to the user: %w", path, err)
		}
	}
	if err := identity.Drop(); err != nil {
		return err
	}
	for _, kv := range identity.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// close undoes what open made.
func (m *master) close() {
	m.dev.close()
	m.end()
	if t := m.template.Load(); t != nil {
		t.Stop()
	}
	closeAll(m.listeners)
	m.certify(nil)
	if m.commands != nil {
		_ = m.commands.Close()
	}
	if m.pidFile != nil {
		if err := m.pidFile.Remove(); err != nil {
			m.log.Warn("the pid file is left", "error", err)
		}
	}
	m.later.flush()
}
