package importer

import (
	"path/filepath"
	"strings"
)

// uwsgiListeners are the options that name addresses, uwsgiApps those that name apps.
var (
	uwsgiListeners = []string{"http", "httprouter", "http-socket", "http11-socket", "https", "https2", "https-socket", "http-to-https", "socket", "uwsgi-socket"}
	uwsgiApps      = []string{"module", "wsgi", "wsgi-file", "file", "mount", "worker-mount", "python", "py"}
)

// last is the option of a name that counts.
func (u *uwsgi) last(names ...string) (option, bool) {
	for i := len(u.options) - 1; i >= 0; i-- {
		if contains(names, u.options[i].name) {
			return u.options[i], true
		}
	}
	return option{}, false
}

// app finds the app: a module or a file, and the callable in it. Of a module and a file the file counts, which uWSGI loads last.
func (u *uwsgi) app() {
	callable, _ := u.last("callable")
	var modules, files []option
	for _, op := range u.options {
		switch {
		case op.name == "wsgi-file" || op.name == "file":
			files = append(files, op)
		case contains(uwsgiApps, op.name):
			modules = append(modules, op)
		}
	}
	for _, op := range append(modules, files...) {
		u.oneApp(op, callable.value)
	}
}

func (u *uwsgi) oneApp(op option, callable string) {
	r, at := u.r, from{op.Place, op.name}
	app, prefix := op.value, "/"
	if op.name == "mount" || op.name == "worker-mount" {
		var ok bool
		if prefix, app, ok = strings.Cut(op.value, "="); !ok {
			r.note(at, "%q is not PREFIX=APP", op.value)
			return
		}
		if !u.on("manage-script-name") {
			r.note(at, "here the prefix becomes SCRIPT_NAME and is taken off PATH_INFO, as with manage-script-name")
		}
	}
	if callable != "" && !strings.Contains(app, ":") {
		app += ":" + callable
		at.directive += ", callable"
	}
	switch before := r.get("app"); {
	case strings.HasSuffix(app, ")") && !strings.HasSuffix(app, "()"):
		r.note(at, "a factory is called without arguments: write a function that calls %s", app)
		return
	case strings.HasPrefix(app, "django.core.handlers"):
		r.note(at, "name the project's own WSGI module, such as mysite.wsgi")
		return
	case prefix == "/" && before != "":
		r.note(at, "%s is named as the app, too; this one is taken", before)
	}
	r.mountApp(prefix, app, at)
}

// listeners finds the addresses, and how their connections are to be treated.
func (u *uwsgi) listeners() {
	tls := false
	for _, op := range u.options {
		tls = tls || strings.HasPrefix(op.name, "https")
	}
	protocol, _ := u.last("protocol", "socket-protocol")
	for _, op := range u.options {
		if !contains(uwsgiListeners, op.name) {
			continue
		}
		at := from{op.Place, op.name}
		address, rest, _ := strings.Cut(op.value, ",")
		if strings.HasPrefix(address, "=") {
			u.r.note(at, "shared sockets are named by number: name the address in bind, or fd:N for an inherited one")
			continue
		}
		var words []string
		if u.on("enable-proxy-protocol") || u.on("http-enable-proxy-protocol") {
			words = append(words, "proxy-protocol")
		}
		switch {
		case strings.HasPrefix(op.name, "https"):
			u.certificate(op, rest, at)
		case op.name == "http-to-https":
			words = append(words, "redirect")
		case tls:
			words = append(words, "plain")
		}
		if strings.Contains(address, "/") {
			words = append(words, u.socketWords()...)
		}
		if strings.HasSuffix(op.name, "socket") && !strings.HasPrefix(op.name, "http") && !strings.HasPrefix(protocol.value, "http") {
			u.r.note(at, "it spoke the uwsgi protocol, and speaks HTTP here: in nginx replace uwsgi_pass and include uwsgi_params by proxy_pass http://%s and the proxy_set_header lines of scripts/deploy/nginx.conf; "+
				"in Apache ProxyPass uwsgi:// by http://", nginxAddress(address))
		}
		u.r.bindAt(address, strings.Join(words, " "), at)
	}
}

// nginxAddress is an address as proxy_pass has it.
func nginxAddress(address string) string {
	where, err := listenAddress(address)
	switch {
	case err != nil:
		return address
	case strings.HasPrefix(where, "unix:"):
		return where
	case strings.HasPrefix(where, ":"):
		return "127.0.0.1" + where
	}
	return strings.Replace(where, "0.0.0.0:", "127.0.0.1:", 1)
}

// certificate reads https = ADDRESS,CERTIFICATE,KEY,CIPHERS,CLIENT-CA.
func (u *uwsgi) certificate(op option, rest string, at from) {
	parts := append(strings.Split(rest, ","), "", "", "", "")
	if op.name == "https2" {
		named := map[string]string{}
		for _, kv := range strings.Split(op.value, ",") {
			name, value, _ := strings.Cut(kv, "=")
			named[name] = value
		}
		parts = []string{named["cert"], named["key"], named["ciphers"], named["client_ca"]}
	}
	if parts[0] == "" {
		u.r.note(at, "it names no certificate")
		return
	}
	u.r.certificate(parts[0], parts[1], at)
	if parts[2] != "" {
		u.r.note(at, "the ciphers are those of Go's crypto/tls, which can't be chosen")
	}
	if ca := strings.TrimPrefix(parts[3], "!"); ca != "" {
		u.r.set("client-ca", ca, at)
		if ca == parts[3] {
			u.r.set("client-cert", "optional", at)
		}
	}
}

// socketWords are the mode and the owner of unix sockets.
func (u *uwsgi) socketWords() []string {
	var words []string
	if op, ok := u.last("chmod-socket", "chmod"); ok {
		mode := digits().FindString(op.value)
		switch {
		case mode == "" || mode == "1":
			mode = "666"
		case strings.Trim(mode, "01234567") != "" || len(strings.TrimLeft(mode, "0")) > 3 || strings.Trim(mode, "0") == "":
			u.r.note(from{op.Place, op.name}, "%q is no mode of three octal digits", op.value)
			mode = ""
		}
		if mode != "" {
			words = append(words, "mode=0"+strings.TrimLeft(mode, "0"))
		}
	}
	if op, ok := u.last("chown-socket"); ok {
		user, group, _ := strings.Cut(op.value, ":")
		if user != "" {
			words = append(words, "user="+user)
		}
		if group != "" {
			words = append(words, "group="+group)
		}
	}
	return words
}

// uwsgiShort are uWSGI's options of one letter; those in uwsgiShortSwitches have no value.
var uwsgiShort = map[string]string{
	"s": "socket", "p": "processes", "t": "harakiri", "x": "xml", "y": "yaml", "j": "json", "d": "daemonize", "l": "listen", "b": "buffer-size",
	"R": "max-requests", "z": "socket-timeout", "A": "sharedarea", "Q": "spooler", "S": "set", "w": "module", "H": "home", "O": "optimize", "v": "max-vars",
	"J": "test",
}

var uwsgiShortSwitches = map[string]string{
	"m": "memory-report", "c": "cgi-mode", "a": "abstract-socket", "C": "chmod-socket", "T": "enable-threads", "i": "single-interpreter", "M": "master",
	"L": "disable-logging", "r": "reaper", "h": "help",
}

// uwsgiSwitches are options that have no value on a command line, or one behind an equals sign.
var uwsgiSwitches = strings.Fields(`master vacuum enable-threads single-interpreter need-app lazy lazy-apps die-on-term no-orphans thunder-lock strict autoload
	memory-report disable-logging log-master log-4xx log-5xx log-micros log-x-forwarded-for log-zero log-reopen log-date logdate log-prefix log-syslog auto-procname manage-script-name
	no-site no-default-app harakiri-verbose chmod-socket chmod http-keepalive http-auto-chunked http-auto-gzip http-raw-body http-websockets http-chunked-input
	http-manage-expect http-manage-source http-use-cache http-use-socket http-cheap http-enable-proxy-protocol enable-proxy-protocol ignore-sigpipe ignore-write-errors disable-write-exception
	close-on-exec close-on-exec2 catch-exceptions reload-on-exception reuse-port freebind so-keepalive tcp-nodelay no-defer-accept emperor-tyrant
	abstract-socket skip-atexit skip-atexit-teardown threaded-logger log-master-stream log-master-req-stream stats-http stats-min cheap die-on-idle mule honour-range
	honour-stdin static-gzip-all check-static-docroot enable-metrics reload-os-env py-call-osafterfork py-call-uwsgi-fork-hooks wsgi-strict cgi-mode drop-after-apps drop-after-init
	disable-sendfile no-threads-wait master-as-root vhost no-initgroups spooler-quiet show-config help version logformat-strftime log-format-strftime`)

// readUWSGICommand reads uwsgi's arguments, and the file that they name.
func readUWSGICommand(r *Result, words []string, at Place, dir string, o Options) error {
	u := newUWSGI(r, o)
	var options []option
	for i := 0; i < len(words); i++ {
		word := words[i]
		name, value, valued := word, "", false
		switch {
		case strings.HasPrefix(word, "--"):
			name, value, valued = strings.Cut(word[2:], "=")
			if !valued && !contains(uwsgiSwitches, name) && i+1 < len(words) && !strings.HasPrefix(words[i+1], "--") {
				i++
				value = words[i]
			}
		case strings.HasPrefix(word, "-") && len(word) > 1 && uwsgiShort[word[1:2]] != "":
			if name, value = uwsgiShort[word[1:2]], strings.TrimPrefix(word[2:], "="); value == "" && i+1 < len(words) {
				i++
				value = words[i]
			}
		case strings.HasPrefix(word, "-") && len(word) > 1: // several switches may stand together
			for _, letter := range strings.Split(word[1:], "") {
				if uwsgiShortSwitches[letter] == "" {
					r.note(from{at, "-" + letter}, "uWSGI has no such option")
					continue
				}
				options = append(options, option{uwsgiShortSwitches[letter], "", at, ""})
			}
			continue
		default: // a configuration, an app or an address
			name, value = uwsgiArgument(word), word
		}
		options = append(options, option{name, value, at, ""})
	}
	if err := u.run(options, filepath.Join(dir, "command"), ""); err != nil {
		return err
	}
	u.finish(from{Place: at})
	return nil
}

// uwsgiArgument is the option that an argument without one stands for.
func uwsgiArgument(word string) string {
	path, _, _ := strings.Cut(word, ":")
	switch filepath.Ext(path) {
	case ".ini", ".xml", ".yaml", ".yml", ".json", ".js":
		return "ini"
	case ".py", ".wsgi":
		return "wsgi-file"
	}
	if strings.Contains(word, ":") {
		return "socket"
	}
	return "module"
}
