package main

import (
	"os"
	"strings"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/acme"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/certs"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/devpy"
	"github.com/gowsgi/gowsgi/pyhost"
)

// workerSettings are all that a worker is told, over its control socket.
type workerSettings struct {
	Worker       int    // its number
	Dir          string // the apps' folder; opened by its path, which may be a link that was changed since
	Apps         []appSetting
	Python       pyhost.Python
	PythonArgs   []string
	Workers      int
	Threads      int
	Multiprocess bool
	Listeners    []listenerSetting // of the descriptors from firstListener on
	Probe        string
	Preload      bool
	PreloadForce bool
	Warmup       []string
	LogFile      string

	AccessLog, AccessLogFormat string // as the flags have them; a path is absolute
	RequestIDs                 bool

	Limits                                                limitSettings
	StreamInput                                           bool
	SpoolDir                                              string
	SpoolLimit, MaxBodySize                               int64
	HeaderTimeout, BodyTimeout, WriteTimeout, IdleTimeout time.Duration
	GracefulTimeout, QueueTimeout                         time.Duration
	Backlog, MaxStuck                                     int
	GILTimeout, StartTimeout                              time.Duration
	MaxRequests                                           int64
	MaxAge                                                time.Duration
	MaxRSS                                                int64
	Proxies                                               proxyFlags
	ACME                                                  *acme.Settings // nil without
	Static                                                staticSettings
	TLS                                                   *certs.Settings // nil: nobody speaks it
	TLSPort                                               int             // where redirect sends
	Responses                                             responseSettings
	Dev                                                   *devSettings // nil: it is no development server
}

// appSetting is one mount.
type appSetting struct {
	Prefix, Spec   string
	RequestTimeout time.Duration // 0: none
}

// Descriptors that a worker inherits, beside the standard three.
const (
	controlFD     = 3
	handoverOutFD = 4
	handoverInFD  = 5
	loadsFD       = 6
	firstListener = 7
)

// workerInfo is what a worker tells when it serves.
type workerInfo struct {
	Version, Prefix string
	FreeThreaded    bool
	Static          foundStatic
	Dev             *devpy.Description `json:",omitempty"`
}

// settings are what the workers are told but for their number. Python is looked for anew each time: a virtualenv may have been exchanged.
func (m *master) settingsOf(c *serveCmd) (*workerSettings, error) {
	dir, mounts, err := c.enter(m.line.dir)
	if err != nil {
		return nil, err
	}
	var python pyhost.Python
	if err := m.children.During(func() error {
		python, err = discover(c.Python, mounts)
		return err
	}); err != nil {
		return nil, err
	}
	if python.Skipped != nil {
		m.log.Warn("python3 on PATH can't be loaded; the bundled Python serves", "reason", python.Skipped)
		python.Skipped = nil
	}
	spool := c.SpoolDir
	if spool == "" {
		spool = os.TempDir()
	}
	s := &workerSettings{
		Dir: dir, Python: python, PythonArgs: c.PythonArg, Workers: c.Workers, Threads: c.Threads, Multiprocess: c.Workers > 1,
		Probe: c.HealthPath, Preload: c.Preload == preloadOn || c.Preload == preloadForce, PreloadForce: c.Preload == preloadForce, Warmup: c.Warmup,
		StartTimeout: c.StartTimeout, LogFile: m.logPath, StreamInput: c.StreamInput, SpoolDir: spool, SpoolLimit: int64(c.SpoolLimit),
		Limits:        c.limitFlags.settings(),
		MaxBodySize:   unlimited(int64(c.LimitRequestBody)),
		HeaderTimeout: unlimited(c.HeaderTimeout), BodyTimeout: unlimited(c.BodyTimeout),
		WriteTimeout: unlimited(c.WriteTimeout), IdleTimeout: unlimited(c.IdleTimeout),
		GracefulTimeout: c.GracefulTimeout, QueueTimeout: c.QueueTimeout, Backlog: c.Backlog,
		MaxStuck: c.MaxStuck, GILTimeout: c.GILTimeout, MaxRequests: c.MaxRequests, MaxAge: c.MaxWorkerAge, MaxRSS: int64(c.MaxWorkerRSS),
	}
	if s.AccessLog, err = accessLogTarget(c.AccessLog); err != nil {
		return nil, err
	}
	s.AccessLogFormat, s.RequestIDs = c.AccessLogFormat, c.RequestID
	s.Apps = appSettings(mounts, c.RequestTimeout)
	s.Proxies = c.proxyFlags
	if s.Static, err = c.staticFlags.settings(dir, mounts); err != nil {
		return nil, err
	}
	if s.Responses, err = c.responseFlags.settings(dir, c.StaticFollowSymlinks); err != nil {
		return nil, err
	}
	if s.TLS, err = c.tlsFlags.settings(dir, len(c.ACME) > 0, m.tls, m.log); err != nil {
		return nil, err
	}
	m.tls = s.TLS
	for _, l := range m.listeners { // as they were bound, whatever --bind says now
		s.Listeners = append(s.Listeners, l.words.listenerSetting)
		if s.TLSPort == 0 && s.speaksTLS(l.words.listenerSetting) {
			s.TLSPort = portOf(l.Addr())
		}
	}
	if s.TLSPort == 0 {
		if s.TLS != nil && len(m.listeners) > 0 { // without, the settings are only tried
			return nil, usageError("--certfile, --acme: no listener speaks TLS: each --bind says plain or redirect")
		}
		s.TLSPort = 443
	}
	s.Dev = m.dev.settings()
	if s.ACME, err = c.acmeFlags.settings(dir, s.Listeners); err != nil {
		return nil, err
	}
	return s, nil
}

func appSettings(mounts []mount, timeouts []requestTimeout) (all []appSetting) {
	for _, m := range mounts {
		all = append(all, appSetting{m.prefix, m.app, timeoutOf(m.prefix, timeouts)})
	}
	return all
}

// appNames are the apps as --mount has them, for people.
func (s *workerSettings) appNames() string {
	var names []string
	for _, a := range s.Apps {
		names = append(names, mount{a.Prefix, a.Spec}.String())
	}
	return strings.Join(names, ", ")
}
