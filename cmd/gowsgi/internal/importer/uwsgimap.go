package importer

import (
	"path/filepath"
	"strings"
)

// uwsgiSeconds, uwsgiCounts and uwsgiTexts are options that mean what a key of gowsgi.toml does.
var (
	uwsgiSeconds = map[string]string{
		"harakiri": "request-timeout", "max-worker-lifetime": "max-worker-age", "worker-reload-mercy": "graceful-timeout",
		"reload-mercy": "graceful-timeout", "http-headers-timeout": "header-timeout",
	}
	uwsgiCounts = map[string]string{"max-requests": "max-requests", "limit-post": "limit-request-body"}
	uwsgiTexts  = map[string]string{
		"chdir": "chdir", "home": "python", "virtualenv": "python", "venv": "python", "pyhome": "python",
		"uid": "user", "gid": "group", "pidfile": "pid-file", "pidfile2": "pid-file", "safe-pidfile": "pid-file", "safe-pidfile2": "pid-file",
	}
)

// uwsgiNeedless are options that gowsgi needs nothing for. One that ends with * stands for all that begin so.
var uwsgiNeedless = []string{
	"master", "vacuum", "die-on-term", "enable-threads", "single-interpreter", "need-app", "thunder-lock", "no-orphans", "auto-procname",
	"procname*", "plugin", "plugins", "need-plugin", "need-plugins", "plugin-dir", "plugins-dir", "autoload", "strict", "lazy-apps", "lazy", "listen", "close-on-exec*",
	"ignore-sigpipe", "ignore-write-errors", "disable-write-exception", "write-errors-*", "post-buffering*", "harakiri-verbose", "so-keepalive", "tcp-nodelay",
	"no-defer-accept", "reuse-port", "freebind", "memory-report", "max-requests-delta", "max-worker-lifetime-delta", "buffer-size", "no-default-app",
	"offload-threads", "offload-thread", "honour-range", "honour-stdin", "log-master*", "threaded-logger", "log-reopen", "log-x-forwarded-for", "logformat-strftime",
	"log-format-strftime", "http-auto-chunked", "http-chunked-input", "http-raw-body", "http-processes", "http-workers", "http-uid", "http-gid", "http-manage-expect",
	"http-manage-source", "http-timeout", "http-buffer-size", "http-connect-timeout", "http-use-*", "socket-timeout", "so-send-timeout", "manage-script-name", "wsgi-accept-buffer*", "wsgi-strict",
	"max-fd", "safe-fd", "skip-atexit*", "thread-stacksize", "threads-stacksize", "thread-stack-size", "threads-stack-size", "no-threads-wait",
	"py-call-osafterfork", "py-call-uwsgi-fork-hooks", "wsgi-env-behaviour", "wsgi-env-behavior", "start_response-nodelay", "declare-option*", "log-zero", "logger-list",
	"log-date", "logdate", "log-prefix", "log-micros", "static-safe", "socket-sndbuf", "socket-rcvbuf", "harakiri-no-arh", "no-harakiri-arh", "unsubscribe-on-graceful-reload",
	"locks", "lock-engine", "ftok", "max-vars", "master-as-root", "no-initgroups", "disable-sendfile", "static-gzip*", "show-config", "print", "iprint",
	"log-ioerror", "clock", "pcre-jit", "reaper", "no-fd-passing", "map-socket", "mem-collector-freq", "body-read-warning", "harakiri-graceful-timeout",
	"harakiri-graceful-signal", "harakiri-queue-threshold", "drop-after-*", "log-sendfile", "check-interval", "reload-os-env", "weight", "auto-weight", "wsgi-disable-file-wrapper", "exit-on-reload",
}

// uwsgiWithout are options without an equivalent, and what to do. Those before count first.
var uwsgiWithout = []struct{ options, why string }{
	{"py-autoreload* py-auto-reload* python-autoreload python-auto-reload", "a server for production does not watch files: use gowsgi dev while you develop, and gowsgi reload after a deployment"},
	{"touch-* fs-reload fs-brutal-reload fs-signal reload-on-exception*", "nothing is watched: call gowsgi reload, or systemctl reload; the old workers serve until the new ones do"},
	{"attach-daemon* smart-attach-daemon* attach-control-daemon legion-*attach-daemon* daemons-honour-stdin exec-* call-* worker-exec*", "gowsgi starts no other programs: give each a unit of systemd, or a container, of its own"},
	{"hook-* after-request-*", "there are no hooks: do it in the app (gowsgi.postfork, atexit), or before the server starts (systemd: ExecStartPre=)"},
	{"cron* unique-cron legion-cron cron-legion unique-legion-cron unique-cron-legion timer rbtimer signal* ", "there are no timers: use systemd's timers, cron, or a task queue"},
	{"spooler* mule* mules farm queue* import pyimport py-import python-import shared-import shared-pyimport", "there is no spooler and no mule, and nothing is imported beside the app: use a task queue such as Celery or RQ, and import what is needed in the app"},
	{"cache* add-cache-item load-file-in-cache* check-cache sharedarea static-cache-paths* py-sharedarea", "there is no cache between processes: use Redis or memcached; static files need none"},
	{"cheaper* cheap idle die-on-idle", "the number of workers is fixed: workers is how many there may be at most"},
	{"emperor* vassal* early-emperor imperial-* zerg* broodlord heartbeat", "there is no emperor: one server for each app, each a unit of systemd (an instance of gowsgi@.service)"},
	{"subscribe* subscription* st legion* start-unsubscribed fastrouter* http-subscription-* http-to http-zerg http-fallback multicast* udp", "there is no routing between servers: use a load balancer"},
	{"gevent* async asyncio ugreen greenlet coroae loop fiber", "requests run on threads, and monkey patching is refused: take it out of the app, and raise threads where many requests wait for something else"},
	{"route* final-route* error-route* response-route* rewrite", "there is no routing inside of the server: do it in the app, a WSGI middleware or the proxy"},
	{"stats* snmp* metric* enable-metrics carbon* alarm* log-alarm not-log-alarm *-alarm", "there is no statistics server: take numbers from the access log (--access-log-format json)"},
	{"error-page-*", "its own errors are plain text: have the proxy replace them (nginx: proxy_intercept_errors)"},
	{"add-header rem-header del-header collect-header pull-header response-header-collect", "headers are the app's or the proxy's: set them in a WSGI middleware"},
	{"static-expires*", "Cache-Control of static files is gowsgi's: a year for names with a hash, a minute for others"},
	{"static-index static-skip-ext mimefile mime-file static-map2 check-static-docroot fileserve-mode file-serve-mode", "static files have no such setting: see README, Static files"},
	{"http-auto-gzip", "set compress = true, unless pages have secrets in them (BREACH: README, Compression)"},
	{"http-websockets websocket* websockets*", "WSGI can't carry WebSockets: they need an ASGI server beside this one"},
	{"paste ini-paste ini-paste-logged pecan", "PasteDeploy files are not read: write a wsgi.py with application = paste.deploy.loadapp('config:FILE'), and name that as app"},
	{"pump web3 wsgi-lite eval python-raw python-worker-override pyrun pyshell* test", "only WSGI apps are served: module:callable, or the path of a .wsgi or .py file"},
	{"daemonize daemonize2", "gowsgi stays in the foreground: let systemd start it (scripts/deploy/gowsgi.service), and set log-file for a log of its own"},
	{"min-worker-lifetime", "workers that fail are started again ever more slowly"},
	{"reload-on-as evil-reload-on-as limit-as reload-on-fd brutal-reload-on-fd limit-nproc", "limit memory by max-worker-rss and the cgroup (MemoryMax=): Go reserves address space that it does not use"},
	{"cgroup* namespace* unshare* chroot pivot-root pivot_root jail* cap setns* immediate-* add-gid privileged-* mount-* umount-* ns ns-net", "the server isolates nothing: systemd (RootDirectory=, PrivateTmp=, CapabilityBoundingSet=) or a container does"},
	{"cpu-affinity prio never-swap ksm", "the system's: CPUAffinity= and Nice= of systemd"},
	{"log-4xx log-5xx log-slow log-big log-filter log-route log-req-route log-encoder log-req-encoder log-drain req-logger logger-req logger log-socket", "the access log has each request (access-log = \"-\"), as combined, json or a text with directives: pick lines by a log shipper"},
	{"log-maxsize log-backupname log-truncate", "the log is not rotated by the server: use logrotate, with SIGUSR1 (scripts/deploy/logrotate)"},
	{"logfile-chown logfile-chmod", "log files are made by the umask, for the user"},
	{"vhost* max-apps", "apps are told apart by prefix, not by host: one server for each host, behind a proxy"},
	{"master-fifo", "use signals (README, In production), gowsgi reload and gowsgi stacks"},
	{"optimize", "set python-arg = [\"-O\"]"},
	{"py-tracebacker", "gowsgi stacks writes the stack of every Python thread to the log"},
	{"catch-exceptions", "tracebacks go to the log; in gowsgi dev they are shown in the browser"},
	{"pyargv", "sys.argv is not set: read a variable of the environment in the app"},
	{"no-site", "Python starts as its interpreter would, with its site module"},
	{"shared-socket undeferred-shared-socket abstract-socket fastcgi-* scgi-* raw-socket puwsgi-socket suwsgi-socket ssl-socket", "gowsgi speaks HTTP and HTTPS: name the address in bind, and have the proxy speak HTTP to it"},
	{"unenv", "unset it where the server starts (systemd: UnsetEnvironment=)"},
	{"rpc* erlang* lua* psgi* perl* php* ruby* rack* cgi* jvm* mono* v8* go-*", "only Python is served"},
	{"chunked-input-*", "bodies in chunks are limited as others are: limit-request-body, body-timeout"},
	{"upload-progress", "use stream-input = true, and count what was read in the app"},
	{"python-version py-executable py-sys-executable py-programname py-program-name", "the interpreter is that of python = \"PATH\""},
	{"no-server mode", "there is no such mode"},
	{"file-write wait-for-* envdir early-envdir", "do it before the server starts (systemd: ExecStartPre=, EnvironmentFile=)"},
	{"http-stud-prefix http-stats* http-ss http-cheap http-quiet http-events http-harakiri http-gracetime http-resubscribe http-modifier* http-socket-modifier* https-socket-modifier* http-var http-server-name-as-http-host https-export-cert https-session-context http-manage-rtsp http-use-cache sni* ssl-*", "the HTTP side is one with the server here, and has no such setting: see README, Limits on clients, and TLS"},
}

// matches says whether one of some options, with or without a * at the end or the start, is this one.
func matches(options []string, name string) bool {
	for _, pattern := range options {
		if ok, err := filepath.Match(pattern, name); err == nil && ok {
			return true
		}
	}
	return false
}

// finish makes gowsgi's settings of the options.
func (u *uwsgi) finish(at from) {
	r := u.r
	for _, op := range u.options {
		u.take(op)
	}
	u.app()
	r.wantApp(at)
	u.listeners()
	if op, given := u.last("workers", "processes"); !r.has("workers") && (!given || op.raw != "%k") && !u.noted("workers", "processes") {
		r.set("workers", "1", from{at.Place, "uWSGI's default"})
	}
	if _, green := u.last("gevent", "gevent-early-monkey-patch", "async", "asyncio", "ugreen"); !green && !r.has("threads") && !u.noted("threads") {
		r.set("threads", "1", from{at.Place, "no threads"}, oneThread)
	}
	if u.on("master") && !u.on("lazy-apps") && !u.on("lazy") && len(u.options) > 0 {
		r.note(from{at.Place, "no lazy-apps"}, "uWSGI imported the app once, before it forked: preload = true does that too; left out, each worker imports it for itself, which is safe for connections that are opened at import")
	}
	r.trust(from{at.Place, "bind"})
}

// on says whether a switch is on.
func (u *uwsgi) on(name string) bool {
	value, ok := u.values[name]
	return ok && isTrue(value)
}

// noted says whether one of some options is among the notes, so that its default must not stand.
func (u *uwsgi) noted(options ...string) bool {
	for _, n := range u.r.Notes {
		if contains(options, n.Directive) {
			return true
		}
	}
	return false
}

// take makes a setting of one option that stands for itself.
func (u *uwsgi) take(op option) {
	r, at := u.r, from{op.Place, op.name}
	if missing := placeholder().FindString(op.value); strings.HasPrefix(missing, "%(") && !strings.HasPrefix(op.name, "log") {
		r.note(at, "%s is not defined", missing)
		return
	}
	if key := uwsgiSeconds[op.name]; key != "" {
		r.seconds(key, op.value, at)
		return
	}
	if key := uwsgiCounts[op.name]; key != "" {
		r.count(key, op.value, at)
		return
	}
	if key := uwsgiTexts[op.name]; key != "" {
		if !r.later(key, op.value, at) {
			r.set(key, op.value, at)
		}
		return
	}
	switch op.name {
	case "processes", "workers":
		if op.raw == "%k" { // gowsgi's default
			r.unset("workers")
			r.needless(op.name + " = %k")
			return
		}
		r.count("workers", op.value, at)
	case "threads":
		r.count("threads", op.value, at)
	case "buffer-size":
		if n := digits().FindString(op.value); len(n) > 5 || len(n) == 5 && n > "16384" {
			r.count("limit-request-line", n, at, "headers may have 64k in all anyway")
		} else {
			r.needless(op.name)
		}
	case "reload-on-rss", "evil-reload-on-rss":
		if n := digits().FindString(op.value); !r.later("max-worker-rss", op.value, at) && strings.Trim(n, "0") != "" {
			r.set("max-worker-rss", n+"m", at)
		}
	case "static-map":
		if prefix, folder, ok := strings.Cut(op.value, "="); ok {
			r.static(prefix, folder, at)
		}
	case "check-static", "static-check":
		r.note(at, "files are served under a prefix of their own, where the app is not asked: [static] \"/static\" = %q for those that are at /static/", filepath.Join(op.value, "static"))
	case "umask":
		r.set("umask", op.value, at)
	case "env":
		name, _, _ := strings.Cut(op.value, "=")
		r.environment(name, at)
	case "pythonpath", "python-path", "pp":
		if venv := venvOf(op.value); venv != "" && !r.has("python") {
			r.set("python", venv, at)
		} else {
			r.pythonPath(strings.Split(op.value, ":"), at)
		}
	case "logto", "logto2":
		if !r.later("log-file", op.value, at) {
			r.set("log-file", op.value, at)
		}
	case "daemonize", "daemonize2":
		if strings.Contains(op.value, "/") && !r.later("log-file", op.value, at) {
			r.set("log-file", op.value, at)
		}
		r.note(at, "%s", withoutUWSGI(op.name))
	case "log-syslog":
		r.set("access-log", "syslog", at)
	case "logformat", "log-format":
		r.note(at, "formats are written with Apache's directives: access-log-format = \"combined\", \"json\" or a text such as '%%h %%t \"%%r\" %%s %%b %%D'")
	case "disable-logging":
		if isTrue(op.value) {
			r.needless(op.name)
		}
	case "enable-proxy-protocol", "http-enable-proxy-protocol", "chmod-socket", "chmod", "chown-socket", "protocol", "socket-protocol", "callable":
	case "hook-master-start":
		if strings.HasPrefix(op.value, "unix_signal:") { // so that SIGTERM ends uWSGI gracefully
			r.needless(op.name)
		} else {
			u.rest(op, at)
		}
	case "http-keepalive": // 1 switches it on
		if n := digits().FindString(op.value); n != "" && n != "1" {
			r.seconds("idle-timeout", n, at)
		} else {
			r.needless(op.name)
		}
	case "chdir2", "force-cwd":
		r.note(at, "use os.chdir in the app: chdir is gone to before the app is imported")
	default:
		u.rest(op, at)
	}
}

// rest are options that have no equivalent or need none.
func (u *uwsgi) rest(op option, at from) {
	switch why := withoutUWSGI(op.name); {
	case contains(uwsgiListeners, op.name), contains(uwsgiApps, op.name):
	case matches(uwsgiNeedless, op.name):
		u.r.needless(op.name)
	case why != "" && !isTrue(op.value): // it is switched off
	case why != "":
		u.r.note(at, "%s", why)
	case !u.used[op.name]:
		u.r.note(at, "it is no option of uWSGI's that is known here")
	}
}

// withoutUWSGI is why an option has no equivalent, "" where it is not known as such.
func withoutUWSGI(name string) string {
	for _, w := range uwsgiWithout {
		if matches(strings.Fields(w.options), name) {
			return w.why
		}
	}
	return ""
}
