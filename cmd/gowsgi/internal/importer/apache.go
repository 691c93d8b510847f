package importer

import (
	"slices"
	"strings"
)

// apache are the directives of one site, with its daemon processes.
type apache struct {
	r          *Result
	directives []directive
	daemons    map[string]directive // WSGIDaemonProcess by name
	host       *section             // the <VirtualHost> that is read, nil for none
}

// readApache reads directives of Apache: those of mod_wsgi, and those that belong to the site that it serves.
func readApache(r *Result, path string, data []byte, o Options) error {
	f := &apacheFile{r: r, o: o, defined: map[string]string{}}
	if err := f.read(path, data, nil); err != nil {
		return err
	}
	a := &apache{r: r, daemons: map[string]directive{}}
	if !a.choose(f.directives) {
		return unknown("%s has no WSGIScriptAlias, WSGIScriptAliasMatch or WSGIDaemonProcess: there is no app of mod_wsgi in it", path)
	}
	for _, d := range a.directives {
		if d.name == "wsgidaemonprocess" && len(d.args) > 0 {
			a.daemons[d.args[0]] = d
		}
	}
	a.apps()
	r.wantApp(from{Place: Place{File: path}})
	a.daemon(from{Place: Place{File: path}})
	for _, d := range a.directives {
		a.take(d)
	}
	a.listeners(from{Place: Place{File: path}})
	return nil
}

// choose keeps one <VirtualHost> with an app, the first with TLS before others, and what stands outside of all.
func (a *apache) choose(all []directive) bool {
	var hosts []section
	isApp := func(d directive) bool {
		return strings.HasPrefix(d.name, "wsgiscriptalias") || d.name == "wsgidaemonprocess"
	}
	outside := false
	for _, d := range all {
		host, ok := d.in("virtualhost")
		switch {
		case !isApp(d):
		case !ok:
			outside = true
		case !slices.ContainsFunc(hosts, func(h section) bool { return h.Place == host.Place }):
			hosts = append(hosts, host)
		}
	}
	if len(hosts) == 0 && !outside {
		return false
	}
	for i := range hosts {
		if a.host == nil || hasTLS(all, hosts[i]) && !hasTLS(all, *a.host) {
			a.host = &hosts[i]
		}
	}
	for _, h := range hosts {
		if h.Place != a.host.Place {
			a.r.note(from{h.Place, "<VirtualHost " + strings.Join(h.args, " ") + ">"}, "one site is in this result, that of %s: apps are told apart by prefix, not by host, so give each site a server of its own", a.host.Place)
		}
	}
	for _, d := range all {
		host, ok := d.in("virtualhost")
		if !ok || a.host != nil && host.Place == a.host.Place || a.host == nil {
			a.directives = append(a.directives, d)
		}
	}
	return true
}

func hasTLS(all []directive, host section) bool {
	return slices.ContainsFunc(all, func(d directive) bool {
		h, ok := d.in("virtualhost")
		return ok && h.Place == host.Place && d.name == "sslcertificatefile"
	})
}

// last is the directive of a name that counts, outside of folders and locations where it can.
func (a *apache) last(name string) (directive, bool) {
	for i := len(a.directives) - 1; i >= 0; i-- {
		if d := a.directives[i]; d.name == name && len(d.args) > 0 {
			return d, true
		}
	}
	return directive{}, false
}

// apps are the scripts.
func (a *apache) apps() {
	callable := ""
	if d, ok := a.last("wsgicallableobject"); ok {
		callable = ":" + d.args[0]
	}
	for _, d := range a.directives {
		at := from{d.Place, directiveName(d.name)}
		switch d.name {
		case "wsgiscriptalias":
			args := d.args
			if location, ok := d.in("location"); ok && len(args) == 1 && len(location.args) > 0 {
				args = []string{location.args[0], args[0]}
			}
			if len(args) < 2 {
				a.r.note(at, "it needs a prefix and a file")
				continue
			}
			for _, option := range args[2:] {
				if name, value, _ := strings.Cut(option, "="); name == "request-timeout" {
					a.timeout(args[0], value, from{d.Place, at.directive + " " + name})
				}
			}
			a.r.mountApp(args[0], args[1]+callable, at)
		case "wsgiscriptaliasmatch":
			a.r.note(at, "mounts are prefixes, not patterns: [mount] \"/prefix\" = \"FILE.wsgi\" for each app")
		}
	}
}

// timeout is that of one app.
func (a *apache) timeout(prefix, seconds string, at from) {
	if prefix = trimSlash(prefix); prefix != "/" {
		a.r.note(at, "set request-timeout = [\"%s=%ss\"]", prefix, seconds)
		return
	}
	a.r.seconds("request-timeout", seconds, at)
}

// daemon takes the options of the WSGIDaemonProcess that the apps run in.
func (a *apache) daemon(at from) {
	name := ""
	if d, ok := a.last("wsgiprocessgroup"); ok {
		name = d.args[0]
	}
	for _, d := range a.directives {
		if d.name != "wsgiscriptalias" || len(d.args) == 0 {
			continue
		}
		for _, option := range d.args[1:] {
			if group, ok := strings.CutPrefix(option, "process-group="); ok {
				name = group
			}
		}
	}
	d, ok := a.daemons[name]
	if !ok && len(a.daemons) == 1 {
		for _, d = range a.daemons {
			ok = true
		}
	}
	if !ok {
		a.r.note(from{at.Place, "WSGIDaemonProcess"}, "there is none for the app, which ran in Apache's own processes: workers and threads are gowsgi's defaults")
		return
	}
	for _, other := range a.daemons {
		if other.Place != d.Place {
			a.r.note(from{other.Place, "WSGIDaemonProcess " + other.args[0]}, "all apps of a server have the same workers: those of %s are in this result; apps that must not share them are two servers", d.args[0])
		}
	}
	here := from{d.Place, "WSGIDaemonProcess"}
	for _, option := range d.args[1:] {
		key, value, _ := strings.Cut(option, "=")
		a.daemonOption(strings.ToLower(key), value, from{d.Place, "WSGIDaemonProcess " + key})
	}
	if !a.r.has("workers") {
		a.r.set("workers", "1", here, "mod_wsgi's default")
	}
	if !a.r.has("threads") {
		a.r.set("threads", "15", here, "mod_wsgi's default")
	}
}

var (
	daemonCounts  = map[string]string{"processes": "workers", "threads": "threads", "maximum-requests": "max-requests"}
	daemonSeconds = map[string]string{
		"restart-interval": "max-worker-age", "startup-timeout": "start-timeout", "graceful-timeout": "graceful-timeout", "request-timeout": "request-timeout",
		"deadlock-timeout": "gil-timeout", "queue-timeout": "queue-timeout",
	}
	daemonTexts    = map[string]string{"user": "user", "group": "group", "umask": "umask", "home": "chdir", "python-home": "python"}
	daemonNeedless = strings.Fields(`display-name listen-backlog connect-timeout socket-timeout response-socket-timeout send-buffer-size receive-buffer-size header-buffer-size
		response-buffer-size eviction-timeout shutdown-timeout stack-size`)
	daemonWithout = map[string]string{
		"lang": "set LANG where the server starts", "locale": "set LC_ALL where the server starts", "python-eggs": "set PYTHON_EGG_CACHE where the server starts",
		"virtual-memory-limit": "limit memory by max-worker-rss and the cgroup (MemoryMax=): Go reserves address space that it does not use",
		"cpu-time-limit":       "systemd's CPUQuota= bounds it", "cpu-priority": "systemd's Nice= sets it", "chroot": "RootDirectory= of systemd, or a container, does that",
		"script-user": "the server does not compare owners of files", "script-group": "the server does not compare owners of files",
		"inactivity-timeout": "workers are not ended for being idle", "supplementary-groups": "the groups are those of the user (/etc/group)",
		"socket-user":       "the socket's owner stands in bind: 'unix:PATH mode=0660 user=NAME group=NAME'",
		"interrupt-timeout": "gowsgi.RequestTimeout is raised in the thread when request-timeout is over",
		"server-metrics":    "there is no such interface: take numbers from the access log (--access-log-format json)",
	}
)

func (a *apache) daemonOption(name, value string, at from) {
	r := a.r
	switch {
	case daemonCounts[name] != "":
		r.count(daemonCounts[name], value, at)
	case name == "request-timeout" && r.has(name): // the script has its own
	case daemonSeconds[name] != "":
		r.seconds(daemonSeconds[name], value, at)
	case name == "umask" && !strings.HasPrefix(value, "0"):
		r.set("umask", "0"+value, at)
	case name == "user" || name == "group":
		if value = strings.TrimPrefix(value, "#"); !r.later(name, value, at) {
			r.set(name, value, at)
		}
	case daemonTexts[name] != "":
		if !r.later(daemonTexts[name], value, at) {
			r.set(daemonTexts[name], value, at)
		}
	case name == "python-path":
		a.pythonPath(value, at)
	case name == "memory-limit":
		r.count("max-worker-rss", value, at)
	case contains(daemonNeedless, name):
		r.needless(at.directive)
	case daemonWithout[name] != "":
		r.note(at, "%s", daemonWithout[name])
	default:
		r.note(at, "mod_wsgi has no such option, or none that is known here")
	}
}

// pythonPath is where modules are: the folder of a virtualenv, the project's folder, and others.
func (a *apache) pythonPath(value string, at from) {
	var rest []string
	for folder := range strings.SplitSeq(value, ":") {
		switch venv := venvOf(folder); {
		case folder == "" || unset().MatchString(folder):
			if folder != "" {
				rest = append(rest, folder)
			}
		case venv != "" && !a.r.has("python"):
			a.r.set("python", venv, at)
		case venv != "":
		case !a.r.has("chdir"):
			a.r.set("chdir", folder, at)
		default:
			rest = append(rest, folder)
		}
	}
	a.r.pythonPath(rest, at)
}

// take makes settings of a directive that stands for itself.
func (a *apache) take(d directive) {
	r, at := a.r, from{d.Place, directiveName(d.name)}
	if len(d.args) == 0 {
		return
	}
	arg := d.args[0]
	_, inDirectory := d.in("directory")
	switch d.name {
	case "wsgipythonhome":
		if !r.has("python") && !r.later("python", arg, at) {
			r.set("python", arg, at)
		}
	case "wsgipythonpath":
		a.pythonPath(arg, at)
	case "wsgipythonoptimize":
		if arg != "0" {
			r.add("python-arg", "-"+strings.Repeat("O", min(2, len(arg)+strings.Count(arg, "2"))), at)
		}
	case "wsgipythonwarnings":
		r.add("python-arg", "-W "+arg, at)
	case "wsgidontwritebytecode":
		if isTrue(arg) {
			r.add("python-arg", "-B", at)
		}
	case "wsgipythonhashseed":
		r.environment("PYTHONHASHSEED", at)
	case "alias":
		if len(d.args) > 1 {
			r.static(arg, d.args[1], at)
		}
	case "limitrequestbody":
		if inDirectory {
			r.note(at, "the limit holds for all paths: limit-request-body = %s", arg)
			return
		}
		r.count("limit-request-body", arg, at)
	case "limitrequestline":
		r.count("limit-request-line", arg, at)
	case "limitrequestfields":
		r.count("limit-request-fields", arg, at)
	case "limitrequestfieldsize":
		r.count("limit-request-field-size", arg, at)
	case "timeout":
		r.seconds("body-timeout", arg, at)
		r.seconds("write-timeout", arg, at)
	case "keepalivetimeout":
		r.seconds("idle-timeout", arg, at)
	case "maxkeepaliverequests":
		r.count("keepalive-requests", arg, at)
	case "xsendfilepath":
		r.add("sendfile-root", arg, at)
	case "addoutputfilterbytype":
		if slices.ContainsFunc(d.args, func(s string) bool {
			return strings.EqualFold(s, "DEFLATE") || strings.HasPrefix(strings.ToUpper(s), "BROTLI")
		}) {
			r.set("compress", "true", at, "not where pages have secrets in them (BREACH: README, Compression)")
		}
	case "customlog":
		a.customLog(d, at)
	case "errorlog":
		if !strings.HasPrefix(arg, "|") && !strings.HasPrefix(arg, "syslog") && !r.later("log-file", arg, at) {
			r.set("log-file", arg, at)
		}
	case "setenv", "passenv":
		r.environment(arg, at)
	case "setenvif", "setenvifnocase":
		if !strings.Contains(strings.Join(d.args, " "), "HTTP_AUTHORIZATION") { // the usual way around a missing WSGIPassAuthorization
			r.note(at, "the environ has no keys of the server's: do it in a WSGI middleware, or as a header in the proxy")
		}
	case "wsgitrustedproxies":
		for _, address := range d.args {
			r.add("trusted-proxy", address, at)
		}
		r.forwarded(at)
	case "user", "group":
		if arg = strings.TrimPrefix(arg, "#"); !r.has(d.name) && !r.later(d.name, arg, at) {
			r.set(d.name, arg, at)
		}
	case "mdomain":
		for _, domain := range d.args {
			r.add("acme", domain, at)
		}
	default:
		a.rest(d, at)
	}
}

// customLog is the access log, in a format that gowsgi has.
func (a *apache) customLog(d directive, at from) {
	path := d.args[0]
	switch {
	case strings.HasPrefix(path, "|"):
		a.r.note(at, "logs are not piped: access-log = \"-\" is standard output")
		return
	case a.r.later("access-log", path, at):
		return
	}
	a.r.set("access-log", path, at)
	if len(d.args) < 2 || d.args[1] == "combined" {
		return
	}
	format := d.args[1]
	for _, other := range a.directives {
		if other.name == "logformat" && len(other.args) == 2 && other.args[1] == format {
			format = other.args[0]
		}
	}
	switch {
	case format == "common":
		format = `%h %l %u %t "%r" %>s %b`
	case !strings.Contains(format, "%"):
		a.r.note(at, "the format %s is defined elsewhere; without it the format is combined", format)
		return
	}
	a.r.logFormat(format, at)
}
