package importer

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gowsgi/gowsgi/gateway/accesslog"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// unset is how a variable that is not set here stands in a value: only where the server runs is it known.
var unset = lazyregexp.New(`\$\{([^}]*)\}`)

// later notes a value that has such variables. The server's own variable can be set by them where it starts.
func (r *Result) later(key, text string, at from) bool {
	m := unset().FindStringSubmatch(text)
	if m == nil {
		return false
	}
	variable := "GOWSGI_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
	if key == "app" {
		r.note(at, "%s needs $%s, which is not set here: name the app where the server starts: gowsgi serve \"%s\"", text, m[1], text)
	} else {
		r.note(at, "%s needs $%s, which is not set here: set %s=%s where the server starts, or %s here", text, m[1], variable, text, key)
	}
	return true
}

// digits are what atoi of C reads.
var digits = lazyregexp.New(`^\d+`)

// bounded are keys that have a limit by default, and take 0 for none.
var bounded = []string{"start-timeout", "gil-timeout", "header-timeout", "body-timeout", "write-timeout", "idle-timeout", "limit-request-body", "min-body-rate"}

// seconds sets a time that is given in seconds. 0 is no limit.
func (r *Result) seconds(key, text string, at from, remark ...string) {
	if r.later(key, text, at) {
		return
	}
	d := digits().FindString(text)
	switch n, err := strconv.ParseUint(d, 10, 31); {
	case err != nil:
		r.note(at, "%q is no number of seconds", text)
	case n == 0 && !contains(bounded, key):
		r.unset(key)
	default:
		r.set(key, strconv.FormatUint(n, 10)+"s", at, remark...)
	}
}

// count sets a number. 0 is no limit.
func (r *Result) count(key, text string, at from, remark ...string) {
	if r.later(key, text, at) {
		return
	}
	d := digits().FindString(text)
	n, err := strconv.ParseInt(d, 10, 63)
	switch {
	case err != nil:
		r.note(at, "%q is no number that %s takes", text, key)
	case n == 0 && !contains(bounded, key):
		r.unset(key)
	default:
		r.set(key, strconv.FormatInt(n, 10), at, remark...) // TOML has no zeros at the front
	}
}

// bindAt adds an address, with words of --bind behind it.
func (r *Result) bindAt(address, words string, at from, remark ...string) {
	if r.later("bind", address, at) {
		return
	}
	where, err := listenAddress(address)
	if err != nil {
		r.note(at, "%s", err)
		return
	}
	r.add("bind", strings.TrimSpace(where+" "+words), at, remark...)
}

// listenAddress is an address as --bind has it: a path is a unix socket, a lone number a port.
func listenAddress(text string) (string, error) {
	text = strings.TrimSpace(text)
	for _, scheme := range []string{"http://", "https://", "tcp://"} {
		text = strings.TrimPrefix(text, scheme)
	}
	switch {
	case strings.HasPrefix(text, "unix:"):
		return "unix:" + strings.TrimPrefix(strings.TrimPrefix(text, "unix:"), "//"), nil
	case strings.HasPrefix(text, "fd://"):
		return "fd:" + strings.TrimPrefix(text, "fd://"), nil
	case strings.HasPrefix(text, "@"), strings.Contains(text, "/"):
		return "unix:" + text, nil
	case digits().FindString(text) == text:
		text = ":" + text
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf("%q is no address that can be bound: host:port, :port or the path of a unix socket", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("the port %q of %q is not a number", port, text)
	}
	if host == "*" {
		host = ""
	}
	return net.JoinHostPort(host, port), nil
}

// trust is for a server that believed proxies on its own machine, or its app: gowsgi removes what is not said to be a proxy's.
func (r *Result) trust(at from) {
	if r.has("certfile") || r.has("trusted-proxy") {
		return
	}
	open, bound := at, r.has("bind")
	for _, n := range r.Notes {
		bound = bound || strings.Contains(n.Why, "GOWSGI_BIND")
	}
	if !bound { // the default, or a socket of systemd's
		for _, address := range []string{"unix", "127.0.0.1", "::1"} {
			r.add("trusted-proxy", address, from{Place: at.Place}, "a proxy on this machine")
		}
	}
	for _, s := range r.Settings {
		if s.Key != "bind" {
			continue
		}
		here := from{s.Place, s.Directive}
		host, _, _ := net.SplitHostPort(s.Text)
		ip := net.ParseIP(host)
		switch {
		case strings.HasPrefix(s.Text, "unix:"):
			r.add("trusted-proxy", "unix", here, "who connects is the proxy")
		case host == "localhost" || ip != nil && ip.IsLoopback():
			r.add("trusted-proxy", "127.0.0.1", here, "a proxy on this machine")
			r.add("trusted-proxy", "::1", here, "a proxy on this machine")
		default:
			open = here
		}
	}
	if r.has("trusted-proxy") {
		at := from{at.Place, "trusted-proxy"}
		r.forwarded(at)
		return
	}
	r.note(open, "where a proxy stands in front, name its address in trusted-proxy: from others X-Forwarded-For, X-Forwarded-Proto and the like are removed")
}

// forwarded says which fields trusted proxies set: by default gowsgi takes more than most of them do.
func (r *Result) forwarded(at from) {
	at.directive = ""
	r.add("forwarded-header", "x-forwarded-for", at, "the proxy must set each of these; name those that it sets, see README, Behind a proxy")
	r.add("forwarded-header", "x-forwarded-proto", at)
}

// oneThread is a remark on threads = 1.
const oneThread = "one request at a time in each worker, as before; raise it where the app is thread-safe (Django and Flask are)"

// file says whether a path is of one file rather than of a folder.
func file(path string) bool {
	return !strings.HasSuffix(path, "/") && filepath.Ext(path) != "" && !strings.HasPrefix(filepath.Base(path), ".")
}

// static adds a folder under a URL prefix.
func (r *Result) static(prefix, folder string, at from) {
	if !strings.HasPrefix(prefix, "/") {
		prefix = "/" + prefix
	}
	switch {
	case r.later("static", prefix+"="+folder, at):
	case file(folder):
		r.note(at, "%s is one file, and --static serves folders: put it into a folder with a prefix of its own, or let the app or the proxy serve it", folder)
	case !isPrefix(prefix):
		r.note(at, "%q is no URL prefix that --static takes", prefix)
	case r.mountedAt(prefix):
		r.note(at, "the app is at %s too, and --static would hide it: give the files a prefix of their own", prefix)
	default:
		r.add("static", trimSlash(prefix)+"="+folder, at)
	}
}

// mountApp puts an app under a URL prefix, the root included.
func (r *Result) mountApp(prefix, app string, at from, remark ...string) {
	app = r.script(app, at)
	switch {
	case trimSlash(prefix) == "/":
		if !r.later("app", app, at) {
			r.set("app", app, at, remark...)
		}
	case r.later("mount", prefix+"="+app, at):
	case !strings.HasPrefix(prefix, "/") || !isPrefix(prefix):
		r.note(at, "%q is no URL prefix that --mount takes; gowsgi tells apps apart by prefix, not by host", prefix)
	default:
		r.add("mount", trimSlash(prefix)+"="+app, at, remark...)
	}
}

// wantApp notes that no app is named.
func (r *Result) wantApp(at from) {
	named := r.has("app") || r.has("mount") || slices.ContainsFunc(r.Notes, func(n Note) bool { return strings.Contains(n.Why, "gowsgi serve \"") })
	if !named {
		r.note(from{at.Place, "app"}, "no app is named that gowsgi can load: set app = \"module:callable\", or name it in gowsgi serve APP")
	}
}

// script is an app that may be a file: gowsgi knows those by their endings.
func (r *Result) script(app string, at from) string {
	path, callable, _ := strings.Cut(app, ":")
	if !strings.Contains(path, "/") || strings.HasSuffix(path, ".py") || strings.HasSuffix(path, ".wsgi") || unset().MatchString(path) {
		return app
	}
	r.note(at, "a script's name ends in .wsgi or .py: ln -s %s %s.wsgi", filepath.Base(path), path)
	if path += ".wsgi"; callable != "" {
		path += ":" + callable
	}
	return path
}

func (r *Result) mountedAt(prefix string) bool {
	prefix = trimSlash(prefix)
	return prefix == "/" && r.has("app") || slices.ContainsFunc(r.Settings, func(s Setting) bool {
		return s.Key == "mount" && strings.HasPrefix(s.Text, prefix+"=")
	})
}

// trimSlash is a prefix without the slash at its end.
func trimSlash(prefix string) string {
	if prefix = strings.TrimRight(prefix, "/"); prefix == "" {
		return "/"
	}
	return prefix
}

// isPrefix says whether --static and --mount take a prefix.
func isPrefix(prefix string) bool {
	return !strings.Contains(prefix, "//") && !strings.ContainsAny(prefix, "?#=") && !slices.ContainsFunc(strings.Split(prefix, "/"), func(segment string) bool {
		return segment == "." || segment == ".."
	})
}

// environment notes variables that another server sets for the app. Values may be secret, and are not repeated.
func (r *Result) environment(names string, at from) {
	r.note(at, "%s: gowsgi sets no variables for the app; set it where the server starts (systemd: Environment=, Docker: ENV)", names)
}

// pythonPath notes folders of Python modules beside the first one.
func (r *Result) pythonPath(folders []string, at from) {
	folders = slices.DeleteFunc(folders, func(f string) bool { return f == "" || f == "." || filepath.Clean(f) == filepath.Clean(r.get("chdir")) })
	if len(folders) > 0 {
		r.note(at, "set PYTHONPATH=%s where the server starts, or name the folders in a .pth file of the virtualenv; --chdir is first on sys.path", strings.Join(folders, ":"))
	}
}

// certificate adds a pair; without a key it is in the certificate's file. Either all pairs have a key file or none has.
func (r *Result) certificate(cert, key string, at from) {
	if key == "" {
		key = cert
	}
	r.add("certfile", cert, at)
	r.add("keyfile", key, at)
}

// logFormat sets the format of the access log where gowsgi knows its directives.
func (r *Result) logFormat(format string, at from) {
	if _, err := accesslog.ParseFormat(format); err != nil {
		r.note(at, "%v; without it the format is combined", err)
		return
	}
	r.set("access-log-format", format, at)
}

// syslogAddress is where the system's log is, as --access-log has it.
func syslogAddress(text string) string {
	u, err := url.Parse(text)
	switch {
	case err == nil && u.Scheme == "unix":
		return "syslog:" + strings.TrimSuffix(strings.TrimSuffix(u.Path, "#dgram"), "#stream")
	case err == nil && u.Scheme == "udp":
		return "syslog:" + u.Host
	}
	return "syslog"
}

// venvOf is the virtualenv that a program or a folder of modules is in, "" for none.
func venvOf(path string) string {
	if i := strings.Index(path, "/lib/python"); i > 0 && strings.Contains(path[i:], "/site-packages") {
		path = path[:i]
	} else if dir := filepath.Dir(path); filepath.Base(dir) == "bin" && dir != "bin" {
		path = filepath.Dir(dir)
	} else {
		return ""
	}
	if slices.Contains([]string{"/", "/usr", "/usr/local", "/opt"}, path) || strings.HasSuffix(path, ".local") {
		return ""
	}
	return path
}
