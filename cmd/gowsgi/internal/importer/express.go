package importer

import (
	"path/filepath"
	"strings"
)

// readExpress reads the arguments of mod_wsgi-express: options as in its src/express/options.py.
func readExpress(r *Result, words []string, at Place) error {
	e := &express{r: r, at: at, options: map[string]string{}}
	if len(words) > 0 && !strings.HasPrefix(words[0], "-") {
		if words[0] != "start-server" && words[0] != "setup-server" {
			return unknown("%s: mod_wsgi-express %s starts no server: start-server and setup-server do", at, words[0])
		}
		words = words[1:]
	}
	for i := 0; i < len(words); i++ {
		word := words[i]
		if !strings.HasPrefix(word, "-") {
			e.script = word
			continue
		}
		name, value, valued := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		more := expressValues(name)
		values := []string{value}
		if !valued {
			values = nil
		}
		for len(values) < more {
			if i++; i == len(words) {
				return unknown("%s: --%s has too few values", at, name)
			}
			values = append(values, words[i])
		}
		e.options[name] = strings.Join(values, " ")
		if more == 0 {
			e.options[name] = "true"
		}
		if why := expressWithout[name]; why != "" {
			r.note(e.from(name), "%s", why)
			continue
		}
		e.take(name, values)
	}
	e.finish()
	return nil
}

type express struct {
	r       *Result
	at      Place
	script  string
	options map[string]string // the last value of each
}

func (e *express) from(name string) from { return from{e.at, "--" + name} }

// expressSwitches have no value, expressPairs two.
var (
	expressSwitches = strings.Fields(`http2 ssl-environment https-only allow-localhost enable-sendfile disable-reloading reload-on-changes directory-listing error-override
		compress-responses server-metrics enable-telemetry free-threading server-status access-log startup-log verbose-debugging log-to-terminal rotate-logs
		chunked-request with-php5 with-cgi orphan-interpreter embedded-mode enable-docs debug-mode enable-debugger debugger-startup enable-coverage enable-profiler
		enable-recorder enable-gdb setup-only isatty`)
	expressPairs = strings.Fields(`url-alias error-document proxy-mount-point proxy-url-alias proxy-virtual-host setenv add-handler service-script service-user service-group service-log-file`)
)

func expressValues(name string) int {
	switch {
	case contains(expressSwitches, name):
		return 0
	case contains(expressPairs, name):
		return 2
	}
	return 1
}

var (
	expressCounts = map[string]string{
		"processes": "workers", "threads": "threads", "limit-request-body": "limit-request-body", "maximum-requests": "max-requests", "body-min-rate": "min-body-rate",
	}
	expressSeconds = map[string]string{
		"startup-timeout": "start-timeout", "restart-interval": "max-worker-age", "graceful-timeout": "graceful-timeout", "request-timeout": "request-timeout",
		"queue-timeout": "queue-timeout", "header-max-timeout": "header-timeout", "body-timeout": "body-timeout", "keep-alive-timeout": "idle-timeout",
		"deadlock-timeout": "gil-timeout", "socket-timeout": "write-timeout",
	}
	expressTexts = map[string]string{
		"user": "user", "group": "group", "working-directory": "chdir", "pid-file": "pid-file", "ssl-ca-certificate-file": "client-ca",
	}
	expressNeedless = strings.Fields(`application-type process-group application-group ssl-environment allow-localhost enable-sendfile disable-reloading map-head-to-get
		http2 max-clients initial-workers minimum-spare-workers maximum-spare-workers connect-timeout shutdown-timeout eviction-timeout header-timeout header-min-rate body-max-timeout
		server-backlog daemon-backlog send-buffer-size receive-buffer-size header-buffer-size response-buffer-size response-socket-timeout response-flush-delay
		server-root server-mpm log-level startup-log startup-log-name rotatelogs-executable shell-executable httpd-executable process-name modules-directory mime-types
		socket-prefix chunked-request free-threading isatty verbose-debugging server-name server-alias`)
)

// expressWithout are options without an equivalent, and what to do.
var expressWithout = map[string]string{
	"hsts-policy":        "Strict-Transport-Security is the app's to set (Django: SECURE_HSTS_SECONDS)",
	"cpu-time-limit":     "systemd's CPUQuota= bounds it",
	"inactivity-timeout": "workers are not ended for being idle",
	"ignore-activity":    "workers are not ended for being idle",
	"interrupt-timeout":  "gowsgi.RequestTimeout is raised in the thread when request-timeout is over",
	"proxy-timeout":      "it proxies to nobody: use nginx in front",
	"reload-on-changes":  "a server for production does not watch files: use gowsgi dev while you develop, and gowsgi reload after a deployment",
	"directory-listing":  "folders are not listed",
	"directory-index":    "the index of a folder of --static is index.html",
	"allow-override":     "there are no .htaccess files",
	"error-document":     "its own errors are plain text: have the proxy replace them (nginx: proxy_intercept_errors)",
	"error-override":     "its own errors are plain text: have the proxy replace them (nginx: proxy_intercept_errors)",
	"proxy-mount-point":  "it proxies to nobody: use nginx in front",
	"proxy-url-alias":    "it proxies to nobody: use nginx in front",
	"proxy-virtual-host": "it proxies to nobody: use nginx in front",
	"server-metrics":     "there is no such interface: take numbers from the access log (--access-log-format json)",
	"telemetry-service":  "there is no such interface: take numbers from the access log (--access-log-format json)",
	"enable-telemetry":   "there is no such interface: take numbers from the access log (--access-log-format json)",
	"slow-requests":      "take durations from the access log (--access-log-format json)",
	"server-status":      "there is no such page; systemctl status shows the state",
	"switch-interval":    "call sys.setswitchinterval in the app",
	"host-access-script": "access is the app's or the proxy's to check",
	"auth-user-script":   "authentication is the app's or the proxy's",
	"auth-group-script":  "authentication is the app's or the proxy's",
	"include-file":       "Apache's directives in it are not read: gowsgi import FILE reads those of mod_wsgi",
	"rewrite-rules":      "there are no rewrite rules: do it in the app, a WSGI middleware or the proxy",
	"envvars-script":     "set its variables where the server starts (systemd: EnvironmentFile=)",
	"lang":               "set LANG where the server starts",
	"locale":             "set LC_ALL where the server starts",
	"error-log-format":   "gowsgi's own log has one format",
	"rotate-logs":        "the log is not rotated by the server: use logrotate, with SIGUSR1 (scripts/deploy/logrotate)",
	"max-log-size":       "the log is not rotated by the server: use logrotate, with SIGUSR1 (scripts/deploy/logrotate)",
	"python-eggs":        "set PYTHON_EGG_CACHE where the server starts",
	"add-handler":        "one mount for each app: [mount] \"/prefix\" = \"FILE.wsgi\"",
	"with-cgi":           "only WSGI apps are served",
	"with-php5":          "only WSGI apps are served",
	"service-script":     "gowsgi starts no other programs: give each a unit of systemd, or a container, of its own",
	"service-user":       "gowsgi starts no other programs: give each a unit of systemd, or a container, of its own",
	"service-group":      "gowsgi starts no other programs: give each a unit of systemd, or a container, of its own",
	"service-log-file":   "gowsgi starts no other programs: give each a unit of systemd, or a container, of its own",
	"enable-docs":        "there is no such page",
	"embedded-mode":      "the app always runs in workers of its own",
	"orphan-interpreter": "the interpreter is never torn down under live threads",
	"debug-mode":         "use gowsgi dev",
	"enable-debugger":    "breakpoint() works in gowsgi dev",
	"enable-coverage":    "start coverage in the app",
	"enable-profiler":    "start a profiler in the app",
	"enable-recorder":    "there is no recorder",
	"enable-gdb":         "gowsgi stacks writes the stack of every Python thread to the log",
	"setup-only":         "gowsgi needs no generated files",
}

// take makes settings of one option.
func (e *express) take(name string, values []string) {
	r, at := e.r, e.from(name)
	switch {
	case expressCounts[name] != "":
		r.count(expressCounts[name], values[0], at)
		return
	case expressSeconds[name] != "":
		r.seconds(expressSeconds[name], values[0], at)
		return
	case expressTexts[name] != "":
		if !r.later(expressTexts[name], values[0], at) {
			r.set(expressTexts[name], values[0], at)
		}
		return
	case contains(expressNeedless, name):
		r.needless("--" + name)
		return
	}
	switch name {
	case "url-alias":
		r.static(values[0], values[1], at)
	case "document-root":
		r.note(at, "files are served under a prefix of their own, where the app is not asked: [static] \"/static\" = %q for those that are at /static/", filepath.Join(values[0], "static"))
	case "compress-responses":
		r.set("compress", "true", at)
	case "trust-proxy":
		r.add("trusted-proxy", values[0], at)
	case "trust-proxy-header":
		e.header(values[0], at)
	case "setenv":
		r.environment(values[0], at)
	case "passenv":
		r.needless("--" + name)
	case "python-path":
		if venv := venvOf(values[0]); venv != "" {
			r.set("python", venv, at)
		} else {
			r.pythonPath(strings.Split(values[0], ":"), at)
		}
	case "python-warnings":
		r.add("python-arg", "-W "+values[0], at)
	case "host", "port", "https-port", "ssl-port", "ssl-certificate-file", "ssl-certificate-key-file", "ssl-certificate", "ssl-certificate-chain-file", "https-only",
		"ssl-verify-client", "entry-point", "callable-object", "mount-point", "access-log", "access-log-format", "access-log-name", "error-log-name", "log-directory", "log-to-terminal":
	default:
		r.note(at, "mod_wsgi-express has no such option, or none that is known here")
	}
}

// header is a field that proxies were trusted to set.
func (e *express) header(name string, at from) {
	name = strings.ToLower(name)
	if !contains([]string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix"}, name) {
		e.r.note(at, "trusted proxies may set X-Forwarded-For, -Proto, -Host, -Port and -Prefix, or Forwarded (--forwarded-header); have the proxy set one of these")
		return
	}
	e.r.add("forwarded-header", name, at)
}

// finish is what takes several options, and mod_wsgi-express's own defaults.
func (e *express) finish() {
	r := e.r
	e.app()
	r.wantApp(from{Place: e.at})
	e.listeners()
	e.logs()
	none := from{e.at, "mod_wsgi-express's default"}
	for _, d := range []struct{ option, key, text string }{
		{"processes", "workers", "1"}, {"threads", "threads", "5"}, {"request-timeout", "request-timeout", "60s"}, {"graceful-timeout", "graceful-timeout", "15s"},
		{"queue-timeout", "queue-timeout", "45s"}, {"limit-request-body", "limit-request-body", "10485760"},
	} {
		if e.options[d.option] == "" {
			r.set(d.key, d.text, none)
		}
	}
	if r.has("client-ca") {
		r.set("client-cert", "optional", e.from("ssl-ca-certificate-file"))
		r.note(e.from("ssl-ca-certificate-file"), "client certificates hold for all paths: take client-cert out where each client must have one, or check SSL_CLIENT_VERIFY in the app")
	}
	switch {
	case r.has("forwarded-header") && !r.has("trusted-proxy"):
		r.note(e.from("trust-proxy-header"), "name the proxy's address in trusted-proxy: gowsgi believes nobody else")
		r.unset("forwarded-header")
	case r.has("trusted-proxy") && !r.has("forwarded-header"):
		r.forwarded(e.from("trust-proxy"))
	default:
		r.trust(from{e.at, "--port"})
	}
}

// app is the script or module, at its mount point.
func (e *express) app() {
	r, at := e.r, from{e.at, "the script"}
	script := e.script
	if entry := e.options["entry-point"]; entry != "" {
		script, at = entry, e.from("entry-point")
	}
	callable := e.options["callable-object"]
	switch kind := e.options["application-type"]; {
	case kind != "" && kind != "script" && kind != "module":
		r.note(e.from("application-type"), "only WSGI apps are served: write a wsgi.py that makes the app (of PasteDeploy: paste.deploy.loadapp), and name that as app")
		return
	case script == "":
		return
	case callable == "" && !strings.Contains(script, ":"):
		callable = "application"
	}
	if callable != "" && !strings.Contains(script, ":") && callable != "application" {
		script += ":" + callable
	}
	prefix := e.options["mount-point"]
	if prefix == "" {
		prefix = "/"
	}
	if r.has("chdir") && strings.Contains(script, "/") && !filepath.IsAbs(script) {
		r.note(at, "relative paths start in chdir (%s)", r.get("chdir"))
	}
	r.mountApp(prefix, script, at)
}

// listeners are the ports: of every interface, unless --host names one.
func (e *express) listeners() {
	r := e.r
	http, https := e.options["port"], e.options["https-port"]
	name := "https-port"
	if https == "" {
		https, name = e.options["ssl-port"], "ssl-port"
	}
	at := e.from("port")
	if http == "" {
		http, at = "8000", from{e.at, "mod_wsgi-express's default"}
	}
	words := ""
	if https != "" {
		if words = "plain"; e.options["https-only"] != "" {
			words = "redirect"
		}
		cert, key := e.options["ssl-certificate-file"], e.options["ssl-certificate-key-file"]
		if pair := e.options["ssl-certificate"]; pair != "" {
			cert, key = pair+".crt", pair+".key"
		}
		if cert == "" {
			r.note(e.from(name), "it names no certificate")
			words, https = "", ""
		} else {
			r.certificate(cert, key, e.from(name))
		}
		if e.options["ssl-certificate-chain-file"] != "" {
			r.note(e.from("ssl-certificate-chain-file"), "the chain stands in the certificate's file, behind the certificate: cat both into one")
		}
	}
	if https != "" {
		r.bindAt(e.options["host"]+":"+https, "", e.from(name))
	}
	r.bindAt(e.options["host"]+":"+http, words, at)
}

// logs are files in a folder, or the terminal's.
func (e *express) logs() {
	r, dir := e.r, e.options["log-directory"]
	path := func(name, standard string) string {
		if e.options[name] != "" {
			standard = e.options[name]
		}
		return filepath.Join(dir, standard)
	}
	terminal := dir == "" || e.options["log-to-terminal"] != ""
	if !terminal {
		r.set("log-file", path("error-log-name", "error_log"), e.from("log-directory"))
	}
	if e.options["access-log"] == "" {
		return
	}
	if terminal {
		r.set("access-log", "-", e.from("access-log"))
	} else {
		r.set("access-log", path("access-log-name", "access_log"), e.from("access-log"))
	}
	if format := e.options["access-log-format"]; format != "" && format != "common" {
		r.logFormat(format, e.from("access-log-format"))
	}
}
