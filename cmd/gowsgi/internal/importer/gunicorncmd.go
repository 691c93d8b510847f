package importer

import (
	"os"
	"path/filepath"
	"strings"
)

// gunicornFlags are gunicorn's options that take a value, by the names of their settings.
var gunicornFlags = map[string]string{
	"-b": "bind", "-w": "workers", "-k": "worker_class", "-t": "timeout", "-e": "raw_env", "-p": "pidfile", "-u": "user", "-g": "group",
	"-m": "umask", "-n": "proc_name", "-c": "config",
	"--keep-alive": "keepalive", "--reload-extra-file": "reload_extra_files", "--env": "raw_env", "--pid": "pidfile",
	"--access-logfile": "accesslog", "--access-logformat": "access_log_format", "--error-logfile": "errorlog", "--log-file": "errorlog",
	"--log-level": "loglevel", "--log-config": "logconfig", "--log-config-json": "logconfig_json", "--log-syslog-to": "syslog_addr",
	"--log-syslog-prefix": "syslog_prefix", "--log-syslog-facility": "syslog_facility", "--name": "proc_name", "--paster": "paste",
	"--paste-global": "raw_paste_global_conf", "--proxy-allow-from": "proxy_allow_ips", "--limit-request-field_size": "limit_request_field_size",
	"--uwsgi-allow-from": "uwsgi_allow_ips", "--dirty-app": "dirty_apps",
}

// gunicornSwitches are those that take none.
var gunicornSwitches = map[string]string{
	"-D": "daemon", "--daemon": "daemon", "-R": "enable_stdio_inheritance", "--enable-stdio-inheritance": "enable_stdio_inheritance",
	"--reload": "reload", "--spew": "spew", "--check-config": "check_config", "--print-config": "print_config", "--preload": "preload_app",
	"--no-sendfile": "sendfile", "--reuse-port": "reuse_port", "--initgroups": "initgroups", "--capture-output": "capture_output",
	"--log-syslog": "syslog", "--suppress-ragged-eofs": "suppress_ragged_eofs", "--do-handshake-on-connect": "do_handshake_on_connect",
	"--enable-backlog-metric": "enable_backlog_metric", "--permit-obsolete-folding": "permit_obsolete_folding",
	"--strip-header-spaces": "strip_header_spaces", "--permit-unconventional-http-method": "permit_unconventional_http_method",
	"--permit-unconventional-http-version": "permit_unconventional_http_version", "--casefold-http-method": "casefold_http_method",
	"--disable-redirect-access-to-syslog": "disable_redirect_access_to_syslog", "--no-control-socket": "control_socket_disable",
	"--proxy-protocol": "proxy_protocol",
}

// gunicornOption is the setting of an option, "" for none; takes says whether a value must follow.
func gunicornOption(name string) (setting string, takes bool) {
	if s := gunicornSwitches[name]; s != "" {
		return s, false
	}
	if s := gunicornFlags[name]; s != "" {
		return s, true
	}
	s := strings.ReplaceAll(strings.TrimPrefix(name, "--"), "-", "_")
	if gunicornSpecial[s] != nil || gunicornSimple[s] != "" || withoutGunicorn(s) != "" || contains(gunicornNeedless, s) || contains(gunicornLater, s) {
		return s, true
	}
	return "", false
}

// readGunicornCommand reads gunicorn's arguments, those of $GUNICORN_CMD_ARGS before them, and the file that they name.
func readGunicornCommand(r *Result, words []string, at Place, dir string, o Options) error {
	g := &gunicorn{r, o, map[string]setting{}}
	given := map[string]setting{}
	app := ""
	list := func(name string) bool {
		return contains([]string{"bind", "raw_env", "reload_extra_files", "dirty_apps"}, name)
	}
	for i := 0; i < len(words); i++ {
		word, value := words[i], ""
		name, valued := word, false
		switch {
		case !strings.HasPrefix(word, "-") || word == "-":
			app = word
			continue
		case strings.HasPrefix(word, "--"):
			name, value, valued = strings.Cut(word, "=")
		case len(word) > 2:
			name, value, valued = word[:2], strings.TrimPrefix(word[2:], "="), true
		}
		option, takes := gunicornOption(name)
		here := from{at, name}
		switch {
		case option == "":
			r.note(here, "gunicorn has no such option, or none that is known here")
			continue
		case !takes:
			value = "true"
			if option == "sendfile" {
				r.needless(name)
				continue
			}
		case !valued:
			if i++; i == len(words) {
				return unknown("%s: %s has no value", at, name)
			}
			value = words[i]
		}
		s := setting{from: here, value: value}
		if list(option) {
			all, _ := given[option].value.([]any)
			s.value = append(all, value)
		}
		given[option] = s
	}
	if err := g.config(given["config"], at, dir); err != nil {
		return err
	}
	for name, s := range given {
		g.settings[name] = s
	}
	if app != "" {
		g.settings["wsgi_app"] = setting{from: from{Place: at}, value: app}
	}
	g.finish(from{Place: at})
	return nil
}

// config reads the configuration file of a command: that which is named, or gunicorn.conf.py where it is.
func (g *gunicorn) config(s setting, at Place, dir string) error {
	name := strings.TrimPrefix(s.text(), "file:")
	switch {
	case strings.HasPrefix(name, "python:"):
		g.r.note(s.from, "a module is not looked for: import its file by itself")
		return nil
	case unset().MatchString(name):
		g.r.note(s.from, "%s is not read: import it by itself", name)
		return nil
	}
	path := name
	if path == "" {
		path = "gunicorn.conf.py"
	}
	path = g.r.near(path, dir)
	data, err := readAll(path)
	if os.IsNotExist(err) {
		if name != "" {
			g.r.note(s.from, "%s is not here, so it was not read: import it by itself, and join the results", name)
		}
		return nil
	}
	if err != nil {
		return err
	}
	return g.file(path, data)
}

// near is where a file that a configuration names may be on this machine: as it says, or beside the configuration.
func (r *Result) near(path, dir string) string {
	beside := filepath.Dir(r.Source)
	for _, candidate := range []string{filepath.Join(beside, path), filepath.Join(beside, filepath.Base(path)), filepath.Join(dir, path)} {
		if filepath.IsAbs(path) && candidate != filepath.Join(beside, filepath.Base(path)) {
			candidate = path
		}
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() {
			return candidate
		}
	}
	return path
}
