package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/privileges"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/reaper"
	"github.com/gowsgi/gowsgi/gateway/accesslog"
)

// serveCmd is in the order of --help, gowsgi check and README.
type serveCmd struct {
	Bind []bind `default:"127.0.0.1:8000" placeholder:"ADDRESS" help:"Where to listen: host:port, :port, [::1]:port, unix:PATH, or fd:N for an inherited socket. Words may follow: proxy-protocol, plain, redirect, and for a unix socket mode=0660 user=NAME group=NAME. Can be repeated. Default: ${default}."`

	tlsFlags
	acmeFlags
	proxyFlags
	appFlags
	staticFlags
	responseFlags

	Workers          int              `default:"${cpus}" help:"How many worker processes. Default: one for each CPU that this process may use, here ${cpus}."`
	Threads          int              `default:"16" help:"How many Python threads of each worker run the app at most."`
	Preload          preload          `placeholder:"force" help:"Import the app once, in a process that workers are forked from: they share its memory, and start at once. With =force also where the app has threads after its import, which workers then don't have."`
	Warmup           []string         `placeholder:"PATH" help:"With --preload: ask the app for this path before workers are forked. Can be repeated."`
	HealthPath       string           `placeholder:"PATH" help:"Path of the app that a new worker must answer with less than 500 before it serves."`
	StartTimeout     time.Duration    `default:"2m" placeholder:"TIME" help:"How long a worker may take to import the app and answer the probe. 0: no limit. Default: ${default}."`
	GracefulTimeout  time.Duration    `default:"30s" placeholder:"TIME" help:"How long requests in hand may take to finish after SIGTERM, and those of a worker that is replaced. Default: ${default}."`
	RequestTimeout   []requestTimeout `placeholder:"[PREFIX=]TIME" help:"How long the app may take for a request; then the client gets 504 and the app an exception. With a prefix only the app that is mounted there; can be repeated. Default: no limit."`
	MaxStuck         int              `default:"3" placeholder:"N" help:"Replace a worker in which so many threads did not come back from a request that timed out. 0: never. Default: ${default}."`
	GILTimeout       time.Duration    `name:"gil-timeout" default:"10s" placeholder:"TIME" help:"Replace a worker in which nobody could have the GIL for so long. 0: never. Default: ${default}."`
	QueueTimeout     time.Duration    `placeholder:"TIME" help:"How long a request may wait for a Python thread; then the client gets 503. Default: no limit."`
	Backlog          int              `default:"2048" placeholder:"N" help:"How many requests of a worker may wait for a Python thread; more get 503. 0: any number. Default: ${default}."`
	MaxRequests      int64            `placeholder:"N" help:"Replace a worker after so many requests, up to a tenth more. Default: no limit."`
	MaxWorkerAge     time.Duration    `placeholder:"TIME" help:"Replace a worker after that time, up to a tenth more. Default: no limit."`
	MaxWorkerRSS     size             `name:"max-worker-rss" placeholder:"SIZE" help:"Replace a worker that uses more memory. Default: no limit."`
	StreamInput      bool             `help:"Call the app before its request body has arrived, for apps that show progress. A slow upload then holds a Python thread."`
	SpoolDir         string           `placeholder:"FOLDER" help:"Where long bodies wait, in files without a name. Default: $TMPDIR or /tmp."`
	SpoolLimit       size             `default:"64m" placeholder:"SIZE" help:"How much of one response may wait there for a slow client (64k, 16m, 1g); past that the app waits. Default: ${default}."`
	LimitRequestBody size             `default:"1g" placeholder:"SIZE" help:"The longest request body; a longer one is answered 413. 0: no limit. Default: ${default}."`
	HeaderTimeout    time.Duration    `default:"30s" placeholder:"TIME" help:"How long a client may take for a request's header. 0: no limit. Default: ${default}."`
	BodyTimeout      time.Duration    `default:"60s" placeholder:"TIME" help:"How long a client may send nothing of a body that it owes. 0: no limit. Default: ${default}."`
	WriteTimeout     time.Duration    `default:"60s" placeholder:"TIME" help:"How long a client may take nothing of a response. 0: no limit. Default: ${default}."`
	IdleTimeout      time.Duration    `default:"75s" placeholder:"TIME" help:"How long a connection may wait for its next request. 0: no limit. Default: ${default}."`

	limitFlags

	User            string           `placeholder:"NAME" help:"Become this user, by name or number, once the addresses are bound. Only root can."`
	Group           string           `placeholder:"NAME" help:"Become this group. Default: the user's."`
	Umask           privileges.Umask `placeholder:"MASK" help:"Permissions that new files do not get, unix sockets among them, in octal: 027."`
	PidFile         string           `placeholder:"PATH" help:"A file for the master's process number."`
	LogFile         string           `placeholder:"PATH" help:"Append the log, and what the app prints, to a file, which SIGUSR1 opens anew. Default: standard error."`
	AccessLog       string           `placeholder:"PATH" help:"Write a line for each request to a file, which SIGUSR1 opens anew, to standard output (-) or to the system's log (syslog, syslog:/SOCKET, syslog:HOST:PORT). Default: none."`
	AccessLogFormat string           `default:"combined" placeholder:"FORMAT" help:"What the lines are: combined, json, or a text with directives such as %h %t \"%r\" %s %b. Default: ${default}."`
	RequestID       bool             `name:"request-id" help:"Give each request an id, which the app, the client (X-Request-ID) and the logs get. An access log that shows it does so too, as json does."`
	ControlSocket   string           `placeholder:"PATH" help:"Where commands such as gowsgi reload reach the server. Default: in $$RUNTIME_DIRECTORY, $$XDG_RUNTIME_DIR/gowsgi or a folder of this user's in $$TMPDIR, by the first address."`
}

// Validate implements kong's interface.
func (c *serveCmd) Validate() error {
	switch {
	case c.App == "" && len(c.Mount) == 0:
		return fmt.Errorf("name the app to serve, such as mysite.wsgi")
	case c.strayTimeout() != "":
		return fmt.Errorf("--request-timeout: no app is mounted at %s", c.strayTimeout())
	case len(c.Warmup) > 0 && c.Preload != preloadOn && c.Preload != preloadForce:
		return fmt.Errorf("--warmup needs --preload")
	case len(c.Bind) == 0:
		return fmt.Errorf("--bind: give an address to listen on")
	case c.Workers < 1 || c.Workers > 1000:
		return fmt.Errorf("--workers must be from 1 to 1000")
	case c.accessLogError() != nil:
		return fmt.Errorf("--access-log-format: %w", c.accessLogError())
	case c.AccessLogFormat != "combined" && c.AccessLog == "":
		return fmt.Errorf("--access-log-format needs --access-log")
	case c.HealthPath != "" && !isPath(c.HealthPath):
		return fmt.Errorf("--health-path must be a URL's path, such as /health")
	case c.Backlog > math.MaxInt32:
		return fmt.Errorf("--backlog must be %d at most", math.MaxInt32)
	case c.Threads < 1 || c.Threads > 10000:
		return fmt.Errorf("--threads must be from 1 to 10000")
	case c.SpoolLimit < 1:
		return fmt.Errorf("--spool-limit must be 1 byte or more")
	}
	if err := c.limitFlags.check(); err != nil {
		return err
	}
	if err := c.proxyFlags.check(); err != nil {
		return err
	}
	if err := c.tlsFlags.check(c.Bind, len(c.ACME) > 0); err != nil {
		return err
	}
	if err := c.acmeFlags.check(); err != nil {
		return err
	}
	for name, value := range map[string]int64{
		"header-timeout": int64(c.HeaderTimeout), "body-timeout": int64(c.BodyTimeout), "write-timeout": int64(c.WriteTimeout),
		"idle-timeout": int64(c.IdleTimeout), "graceful-timeout": int64(c.GracefulTimeout), "start-timeout": int64(c.StartTimeout),
		"queue-timeout": int64(c.QueueTimeout), "backlog": int64(c.Backlog),
		"min-body-rate": int64(c.MinBodyRate), "min-write-rate": int64(c.MinWriteRate),
		"max-stuck": int64(c.MaxStuck), "gil-timeout": int64(c.GILTimeout),
		"max-requests": c.MaxRequests, "max-worker-age": int64(c.MaxWorkerAge), "max-worker-rss": int64(c.MaxWorkerRSS),
	} {
		if value < 0 {
			return fmt.Errorf("--%s must not be negative", name)
		}
		if value > math.MaxInt64/2 { // times and shares are added to it
			return fmt.Errorf("--%s is too large", name)
		}
	}
	return nil
}

// accessLogError says what is wrong with the format of the access log.
func (c *serveCmd) accessLogError() error {
	_, err := accesslog.ParseFormat(c.AccessLogFormat)
	return err
}

// isPath says whether a text can be asked for.
func isPath(text string) bool {
	_, err := url.Parse("http://localhost" + text)
	return err == nil && strings.HasPrefix(text, "/")
}

// strayTimeout is a prefix that has a request timeout but no app, "" for none.
func (c *serveCmd) strayTimeout() string {
	for _, r := range c.RequestTimeout {
		if r.prefix != "" && !slices.ContainsFunc(c.Mount, func(m mount) bool { return m.prefix == r.prefix }) {
			return r.prefix
		}
	}
	return ""
}

// Run serves until a signal ends it.
func (c *serveCmd) Run(o *output, line *commandLine) error {
	return (&master{c: c, line: line}).serve(o.Log)
}

// serve serves until a signal ends it.
func (m *master) serve(log io.Writer) error {
	m.signals, m.children = make(chan os.Signal, 8), reaper.NewChildren()
	defer m.close()
	signal.Notify(m.signals, m.dev.signals()...)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // else the end of who reads the log ends the server
	m.ending, m.end = context.WithCancel(context.Background())
	// The import of a template can take long. These signals are in m.signals too.
	opening, opened := signal.NotifyContext(m.ending, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	stop := context.AfterFunc(opening, m.end)
	err := m.open(log)
	told := !stop()
	opened()
	switch {
	case told && (err != nil || m.before == nil): // else there are workers of the program before this one
		return &codeError{code: exitFine}
	case err != nil:
		return err
	}
	return m.run()
}

// unlimited is the gateway's way to say no limit, which is 0 on the command line.
func unlimited[T time.Duration | int64](limit T) T {
	if limit == 0 {
		return -1
	}
	return limit
}
