package importer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// gunicornSimple are settings that mean what a key of gowsgi.toml does. All names are those of gunicorn/config.py.
var gunicornSimple = map[string]string{
	"max_requests": "max-requests", "preload_app": "preload", "chdir": "chdir", "user": "user", "group": "group",
	"pidfile": "pid-file", "tmp_upload_dir": "spool-dir",
	"limit_request_line": "limit-request-line", "limit_request_fields": "limit-request-fields", "limit_request_field_size": "limit-request-field-size",
	"wsgi_app": "app", "ca_certs": "client-ca",
}

// gunicornLater are settings that are looked at together, at the end.
var gunicornLater = []string{
	"worker_class", "threads", "timeout", "worker_connections", "forwarded_allow_ips", "proxy_protocol", "proxy_allow_ips", "certfile", "keyfile",
	"syslog_addr", "cert_reqs",
}

// gunicornNeedless are settings that gowsgi needs nothing for.
var gunicornNeedless = []string{
	"worker_tmp_dir", "proc_name", "default_proc_name", "sendfile", "reuse_port", "capture_output", "enable_stdio_inheritance", "initgroups",
	"max_requests_jitter", "do_handshake_on_connect", "suppress_ragged_eofs", "config", "print_config", "check_config",
	"disable_redirect_access_to_syslog", "strip_header_spaces", "reload_engine", "http_parser", "backlog", "control_socket_mode", "control_socket_disable",
}

// gunicornWithout are settings without an equivalent, and what to do.
var gunicornWithout = map[string]string{
	"reload":                             "a server for production does not watch files: use gowsgi dev while you develop, and gowsgi reload after a deployment",
	"reload_extra_files":                 "gowsgi dev watches templates and settings by itself",
	"daemon":                             "gowsgi stays in the foreground: let systemd start it (scripts/deploy/gowsgi.service)",
	"spew":                               "nothing traces each line; gowsgi stacks writes the stack of every Python thread",
	"loglevel":                           "gowsgi's own log has one level; that of the app is set in its logging",
	"logger_class":                       "gowsgi's log is no Python logger: --log-file, --access-log and --access-log-format say where it goes and how",
	"logconfig":                          "gowsgi's log is no Python logger; the app's own loggers are configured in the app",
	"logconfig_dict":                     "gowsgi's log is no Python logger; the app's own loggers are configured in the app",
	"logconfig_json":                     "gowsgi's log is no Python logger; the app's own loggers are configured in the app",
	"syslog_prefix":                      "lines for syslog have the name gowsgi",
	"syslog_facility":                    "lines for syslog have the facility daemon",
	"statsd_host":                        "nothing is sent to statsd: take numbers from the access log (--access-log-format json)",
	"dogstatsd_tags":                     "nothing is sent to statsd",
	"statsd_prefix":                      "nothing is sent to statsd",
	"enable_backlog_metric":              "nothing is sent to statsd",
	"paste":                              "PasteDeploy files are not read: write a wsgi.py with application = paste.deploy.loadapp('config:FILE'), and name that as app",
	"raw_paste_global_conf":              "PasteDeploy files are not read: write a wsgi.py that calls paste.deploy.loadapp",
	"ciphers":                            "the ciphers are those of Go's crypto/tls, which can't be chosen",
	"ssl_version":                        "set tls-min-version (1.2 by default, or 1.3)",
	"secure_scheme_headers":              "the scheme is taken from X-Forwarded-Proto, or Forwarded, of a trusted proxy (--forwarded-header): have it set that",
	"protocol":                           "gowsgi speaks HTTP: where nginx says uwsgi_pass, say proxy_pass http://...",
	"uwsgi_allow_ips":                    "gowsgi speaks HTTP: where nginx says uwsgi_pass, say proxy_pass http://...",
	"forwarder_headers":                  "SCRIPT_NAME comes from X-Forwarded-Prefix of a trusted proxy, or from a mount; other headers can't set it",
	"permit_obsolete_folding":            "folded lines are always refused (400)",
	"permit_unconventional_http_method":  "methods are those of RFC 9110's grammar",
	"permit_unconventional_http_version": "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken",
	"casefold_http_method":               "methods reach the app as they were sent",
	"root_path":                          "SCRIPT_NAME comes from a mount ([mount] \"/prefix\" = \"app\"), or X-Forwarded-Prefix of a trusted proxy",
	"http2_cleartext":                    "HTTP/2 is spoken over TLS only",
	"dirty_apps":                         "there are no further workers beside those of the app: run the tasks in a process of their own (a queue such as Celery or RQ)",
	"control_socket":                     "set control-socket: gowsgi reload and gowsgi stacks reach the server there",
}

// withoutGunicorn is why a setting has no equivalent, "" where it is not known as such.
func withoutGunicorn(name string) string {
	switch why := gunicornWithout[name]; {
	case why != "":
		return why
	case strings.HasPrefix(name, "dirty_"):
		return "there are no further workers beside those of the app"
	case strings.HasPrefix(name, "http2_"):
		return "HTTP/2 is that of Go's standard library, and has no such setting"
	case strings.HasPrefix(name, "asgi_"), name == "websocket_max_message_size":
		return "it is for ASGI apps"
	}
	return ""
}

// gunicornHooks are functions of a gunicorn.conf.py, and what to use instead.
var gunicornHooks = map[string]string{
	"on_starting":      "hooks are not called: do it before the server starts (systemd: ExecStartPre=), or when the app is imported",
	"on_reload":        "hooks are not called: a reload imports the app anew, so do it at its import",
	"when_ready":       "hooks are not called: systemd's Type=notify tells who waits that the workers serve, --health-path asks the app first",
	"pre_fork":         "hooks are not called: with --preload do it at the end of the app's import",
	"post_fork":        "hooks are not called: in the app, gowsgi.postfork(function) has it called in each worker that is forked (--preload); without --preload each worker imports the app itself",
	"post_worker_init": "hooks are not called: do it at the end of the app's import, or by gowsgi.postfork(function) with --preload",
	"worker_int":       "hooks are not called: signal.signal(SIGINT, ...) in the app holds for its worker",
	"worker_abort":     "hooks are not called: a request that takes too long gets gowsgi.RequestTimeout in its thread, and the log its Python stack",
	"pre_exec":         "hooks are not called: SIGUSR2 exchanges the binary by itself",
	"pre_request":      "hooks are not called: use a WSGI middleware",
	"post_request":     "hooks are not called: use a WSGI middleware, or the access log",
	"child_exit":       "hooks are not called: a worker that ends runs its atexit functions; for prometheus_client call multiprocess.mark_process_dead(os.getpid()) there",
	"worker_exit":      "hooks are not called: atexit.register(function) in the app, which a worker runs when it ends",
	"nworkers_changed": "hooks are not called: the log tells of workers that come and go",
	"on_exit":          "hooks are not called: do it after the server has ended (systemd: ExecStopPost=)",
	"ssl_context":      "hooks are not called: TLS is Go's, set by --certfile, --client-ca and --tls-min-version",
}

func gunicornHookNames() []string { return slices.Sorted(maps.Keys(gunicornHooks)) }

// gunicornNames are the names that tell a gunicorn.conf.py from other Python code.
func gunicornNames() []string {
	return []string{"bind", "workers", "worker_class", "worker_connections", "threads", "max_requests", "max_requests_jitter", "graceful_timeout", "keepalive",
		"preload_app", "accesslog", "errorlog", "loglevel", "wsgi_app", "forwarded_allow_ips", "proc_name"}
}

// gunicornSpecial are settings that take more than a name.
var gunicornSpecial = map[string]func(*gunicorn, setting){
	"bind": func(g *gunicorn, s setting) {
		words := ""
		if p := g.settings["proxy_protocol"]; p.isSet() && p.text() != "off" {
			words = "proxy-protocol"
		}
		for _, address := range s.texts() {
			g.r.bindAt(gunicornAddress(address), words, s.from, nonempty(s.remark())...)
		}
	},
	"workers": func(g *gunicorn, s setting) {
		if s.cpus == "all" { // gowsgi's default
			g.r.needless("workers, one for each processor")
			return
		}
		g.simple("workers", s)
	},
	"graceful_timeout": func(g *gunicorn, s setting) {
		g.r.seconds("graceful-timeout", s.text(), s.from, nonempty(s.remark())...)
	},
	"keepalive": func(g *gunicorn, s setting) {
		if s.text() == "0" {
			g.r.set("keepalive-requests", "1", s.from, "connections were closed after each request")
			return
		}
		g.r.seconds("idle-timeout", s.text(), s.from, nonempty(s.remark())...)
	},
	"umask": func(g *gunicorn, s setting) {
		n, err := strconv.ParseInt(s.text(), 0, 32)
		if err != nil || n < 0 || n > 0o777 {
			g.r.note(s.from, "%q is no mask", s.text())
		} else if n > 0 { // 0 is gunicorn's default, which gowsgi would take from who starts it
			g.r.set("umask", fmt.Sprintf("%03o", n), s.from)
		}
	},
	"raw_env": func(g *gunicorn, s setting) {
		var names []string
		for _, kv := range s.texts() {
			name, _, _ := strings.Cut(kv, "=")
			names = append(names, name)
		}
		g.r.environment(strings.Join(names, ", "), s.from)
	},
	"pythonpath": func(g *gunicorn, s setting) { g.r.pythonPath(s.texts(), s.from) },
	"errorlog": func(g *gunicorn, s setting) {
		if s.text() != "-" && !g.r.later("log-file", s.text(), s.from) {
			g.r.set("log-file", s.text(), s.from)
		}
	},
	"accesslog": func(g *gunicorn, s setting) {
		if !g.r.later("access-log", s.text(), s.from) {
			g.r.set("access-log", s.text(), s.from)
			g.logFormat()
		}
	},
	"syslog": func(g *gunicorn, s setting) {
		g.r.set("access-log", syslogAddress(g.settings["syslog_addr"].text()), s.from)
		g.logFormat()
	},
	"access_log_format": func(g *gunicorn, s setting) {
		if !g.settings["accesslog"].isSet() && !g.settings["syslog"].isSet() {
			g.r.note(s.from, "there is no access log yet: set access-log = \"-\", and access-log-format = %s where directives are known", quoted(s.text()))
		}
	},
	"header_map": func(g *gunicorn, s setting) {
		switch s.text() {
		case "refuse":
			g.r.set("header-policy", "refuse", s.from)
		case "dangerous":
			g.r.set("header-policy", "allow", s.from)
		}
	},
	"http_protocols": func(g *gunicorn, s setting) {
		if strings.Contains(s.text(), "h3") {
			g.r.note(s.from, "there is no HTTP/3")
			return
		}
		g.r.needless(s.directive)
	},
}

// gunicornAddress is an address where :PORT and a lone name have gunicorn's defaults.
func gunicornAddress(text string) string {
	if !strings.Contains(text, ":") && !strings.Contains(text, "/") && digits().FindString(text) != text {
		return text + ":8000"
	}
	return text
}

// logFormat takes a format of the access log that gowsgi has, too.
func (g *gunicorn) logFormat() {
	s := g.settings["access_log_format"]
	if !s.isSet() || s.unknown != "" {
		return
	}
	g.r.logFormat(s.text(), s.from)
}

// concurrency is how many requests a worker answers at a time, and for how long.
func (g *gunicorn) concurrency(at from) {
	class, threads, timeout := g.settings["worker_class"], g.settings["threads"], g.settings["timeout"]
	name := class.text()
	name = strings.ToLower(name[strings.LastIndexAny(name, ".#")+1:])
	one := from{at.Place, "gunicorn's sync worker"}
	switch {
	case class.unknown != "", strings.Contains(class.text(), "$"):
	case strings.Contains(name, "gevent") || strings.Contains(name, "eventlet"):
		g.r.note(class.from, "requests run on threads, and monkey patching is refused: take monkey.patch_all() out of the app, and raise threads (16 by default) where many requests wait for something else")
		return
	case name != "" && name != "sync" && name != "gthread" && name != "syncworker" && name != "threadworker":
		g.r.note(class.from, "gowsgi serves WSGI apps on threads; an ASGI app needs a WSGI form of itself (Django: wsgi.py), or a server such as uvicorn or granian")
		return
	case threads.unknown != "" || threads.text() != "" && threads.text() != "1" || name == "gthread" || name == "threadworker":
		if threads.isSet() {
			g.r.count("threads", threads.text(), threads.from, nonempty(threads.remark())...)
		} else if threads.unknown == "" {
			g.r.set("threads", "1", class.from, "gunicorn's default")
		}
		if timeout.isSet() && timeout.text() != "0" {
			g.r.note(timeout.from, "of gthread's workers it finds those that hang as a whole, as gil-timeout (10s) and max-stuck do; request-timeout = \"%ss\" would end single requests", timeout.text())
		}
		return
	default:
		if class.isSet() {
			one = class.from
		}
		g.r.set("threads", "1", one, oneThread)
	}
	switch {
	case timeout.unknown != "":
	case timeout.value == nil:
		g.r.set("request-timeout", "30s", from{at.Place, "gunicorn's default"})
	default:
		g.r.seconds("request-timeout", timeout.text(), timeout.from, nonempty(timeout.remark())...)
	}
}

// proxies are those whose word on the client was taken.
func (g *gunicorn) proxies(at from) {
	protocol := g.settings["proxy_protocol"]
	allowed := g.settings["forwarded_allow_ips"]
	if protocol.isSet() && protocol.text() != "off" && g.settings["proxy_allow_ips"].isSet() {
		allowed = g.settings["proxy_allow_ips"]
	}
	for _, address := range allowed.texts() {
		if !g.r.later("trusted-proxy", address, allowed.from) {
			g.r.add("trusted-proxy", address, allowed.from, nonempty(allowed.remark())...)
		}
	}
	if g.r.has("trusted-proxy") {
		g.r.forwarded(at)
		if g.r.get("trusted-proxy") == "*" {
			g.r.note(allowed.from, "whoever connects is believed: only right where nobody but the proxy can connect")
		}
		return
	}
	if allowed.unknown == "" {
		g.r.trust(from{at.Place, "bind"})
	}
}

// certificates are a pair, and whether clients need one.
func (g *gunicorn) certificates() {
	cert, keyFile, need := g.settings["certfile"], g.settings["keyfile"], g.settings["cert_reqs"]
	if cert.isSet() {
		g.r.certificate(cert.text(), keyFile.text(), cert.from)
	}
	if !g.r.has("client-ca") {
		return
	}
	switch need.text() {
	case "1":
		g.r.set("client-cert", "optional", need.from)
	case "2":
	default: // no client is asked
		g.r.unset("client-ca")
	}
}
