package importer

import (
	"path/filepath"
	"strings"
	"testing"
)

// site imports directives of Apache.
func site(t *testing.T, text string, environ ...string) *Result {
	t.Helper()
	dir := folder(t, map[string]string{"site.conf": text})
	return mustRead(t, filepath.Join(dir, "site.conf"), onFourCPUs(environ...))
}

func TestDirectivesOfApacheBecomeTheFlagsThatMeanTheSame(t *testing.T) {
	const app = "WSGIScriptAlias / /srv/a.wsgi\n"
	for text, want := range map[string]map[string]string{
		app:                         {"app": "/srv/a.wsgi", "workers": "", "threads": ""},
		app + "WSGIDaemonProcess a": {"workers": "1", "threads": "15"},
		app + "WSGIScriptAlias /api /srv/b.py\nWSGICallableObject app": {"app": "/srv/a.wsgi:app", "mount": "/api=/srv/b.py:app"},
		"<Location /api>\nWSGIScriptAlias /srv/b.py\n</Location>":      {"mount": "/api=/srv/b.py"},
		app + "WSGIDaemonProcess a processes=2 threads=3 \\\n  user=www group=#33 umask=0007 home=/srv \\\n  python-home=/v": {
			"workers": "2", "threads": "3", "user": "www", "group": "33", "umask": "0007", "chdir": "/srv", "python": "/v"},
		app + "WSGIDaemonProcess a python-path=/srv/x:/v/lib/python3.11/site-packages":                                                                    {"chdir": "/srv/x", "python": "/v"},
		app + "WSGIDaemonProcess a maximum-requests=9 restart-interval=60 request-timeout=5 deadlock-timeout=7":                                           {"max-requests": "9", "max-worker-age": "60s", "request-timeout": "5s", "gil-timeout": "7s"},
		app + "WSGIDaemonProcess a graceful-timeout=5 startup-timeout=6 queue-timeout=7 memory-limit=1000":                                                {"graceful-timeout": "5s", "start-timeout": "6s", "queue-timeout": "7s", "max-worker-rss": "1000"},
		"WSGIScriptAlias / /srv/a.wsgi process-group=b request-timeout=9\nWSGIDaemonProcess a threads=1\nWSGIDaemonProcess b threads=2 request-timeout=1": {"threads": "2", "request-timeout": "9s"},
		app + "WSGIDaemonProcess a threads=1\nWSGIDaemonProcess b threads=2\nWSGIProcessGroup b":                                                          {"threads": "2"},
		app + "WSGIPythonHome /v\nWSGIPythonPath /srv/x":                                                                                                  {"python": "/v", "chdir": "/srv/x"},
		app + "WSGIPythonOptimize 2\nWSGIPythonWarnings error":                                                                                            {"python-arg": "-OO | -W error"},
		app + "WSGIPythonOptimize 1\nWSGIDontWriteBytecode On":                                                                                            {"python-arg": "-O | -B"},
		app + "Alias /static/ /srv/s/\nAlias /m \"/srv/m m\"":                                                                                             {"static": "/static=/srv/s/ | /m=/srv/m m"},
		app + "Listen 8080\nListen 127.0.0.1:81":                                                                                                          {"bind": ":8080 | 127.0.0.1:81"},
		"<VirtualHost *:8000>\n" + app + "</VirtualHost>":                                                                                                 {"bind": ":8000"},
		"<VirtualHost _default_:443 [::1]:8443>\n" + app + "SSLCertificateFile c\nSSLCertificateKeyFile k\n</VirtualHost>":                                {"bind": ":443 | [::1]:8443", "certfile": "c", "keyfile": "k", "trusted-proxy": ""},
		app + "Listen 80\nListen 443\nSSLCertificateFile c":                                                                                               {"bind": ":80 redirect | :443", "keyfile": "c"},
		app + "SSLCertificateFile c\nSSLCACertificateFile a\nSSLVerifyClient require":                                                                     {"client-ca": "a", "client-cert": ""},
		app + "SSLCertificateFile c\nSSLCACertificateFile a\nSSLVerifyClient optional":                                                                    {"client-ca": "a", "client-cert": "optional"},
		app + "SSLCertificateFile c\nSSLCACertificateFile a":                                                                                              {"client-ca": ""},
		app + "LimitRequestBody 100\nLimitRequestLine 200\nTimeout 30\nKeepAliveTimeout 5":                                                                {"limit-request-body": "100", "limit-request-line": "200", "body-timeout": "30s", "write-timeout": "30s", "idle-timeout": "5s"},
		app + "LimitRequestBody 0\nWSGIDaemonProcess a startup-timeout=0 deadlock-timeout=0 request-timeout=0 threads=08":                                 {"limit-request-body": "0", "start-timeout": "0s", "gil-timeout": "0s", "request-timeout": "", "threads": "8"},
		app + "XSendFilePath /srv/f\nAddOutputFilterByType DEFLATE text/html":                                                                             {"sendfile-root": "/srv/f", "compress": "true"},
		app + "CustomLog /l combined\nErrorLog /e":                                                                                                        {"access-log": "/l", "access-log-format": "", "log-file": "/e"},
		app + "LogFormat \"%h \\\"%r\\\" %D\" own\nCustomLog /l own":                                                                                      {"access-log-format": `%h "%r" %D`},
		app + "CustomLog /l common": {"access-log-format": `%h %l %u %t "%r" %>s %b`},
		"Define P 81\n" + app + "Listen ${P}\nErrorLog ${LOGS}/e\nAlias /x ${NOT}/x":                                                               {"bind": ":81", "log-file": "/logs/e", "static": ""},
		app + "<IfModule mod_ssl.c>\nListen 81\n</IfModule>\n<IfModule !mod_ssl.c>\nListen 82\n</IfModule>\n<IfDefine NO>\nListen 83\n</IfDefine>": {"bind": ":81"},
		"<virtualhost *:1>\nwsgiscriptalias / /srv/a.wsgi\n</VirtualHost>":                                                                         {"app": "/srv/a.wsgi", "bind": ":1"},
	} {
		wantSettings(t, site(t, text, "LOGS=/logs"), want)
	}
}

func TestWhatApacheHasAndGowsgiNotIsNotedWithWhatToDo(t *testing.T) {
	const app = "WSGIScriptAlias / /srv/a.wsgi\n"
	for text, parts := range map[string][]string{
		app + "WSGIScriptAliasMatch ^/x /srv/b.wsgi":                             {"site.conf:2: WSGIScriptAliasMatch", "prefixes"},
		app + "SetEnv TOKEN very-secret":                                         {"SetEnv: TOKEN: gowsgi sets"},
		app + "RewriteRule ^ https://x":                                          {"redirect"},
		app + "<Directory /x>\nAuthType Basic\nRequire valid-user\n</Directory>": {"site.conf:4: Require", "access"},
		app + "AuthType Basic":                                                   {"authentication"},
		app + "Alias /favicon.ico /srv/favicon.ico":                              {"one file"},
		app + "Alias / /srv/www":                                                 {"prefix of their own"},
		app + "WSGIDaemonProcess a lang=en_US.UTF-8":                             {"WSGIDaemonProcess lang", "LANG"},
		app + "WSGIDaemonProcess a inactivity-timeout=60":                        {"idle"},
		app + "WSGIDaemonProcess a nonsense=1":                                   {"no such option"},
		app + "ProxyPass /x http://y":                                            {"proxies to nobody"},
		app + "Include gone.conf":                                                {"gone.conf is not here"},
		app + "<Location /up>\nLimitRequestBody 5\n</Location>\n<Directory /x>\nLimitRequestBody 5\n</Directory>": {"site.conf:6", "all paths"},
		app + "CustomLog \"|/usr/bin/rotatelogs /x 86400\" combined":                                              {"not piped"},
		app + "SomeModuleOwn x": {"Apache's own"},
		app:                     {"there is none for the app"},
		"<VirtualHost *:80>\nServerName a\n" + app + "</VirtualHost>\n<VirtualHost *:443>\n" + app + "SSLCertificateFile c\n</VirtualHost>": {"<VirtualHost *:80>", "not by host"},
		"WSGIScriptAlias / /usr/bin/api": {"ln -s api /usr/bin/api.wsgi"},
		app + "Listen 80":                {"Apache's place", "docs/from-mod_wsgi.md"},
	} {
		r := site(t, text)
		wantNote(t, r, parts...)
		if strings.Contains(r.TOML()+r.List(), "very-secret") {
			t.Errorf("a secret is repeated:\n%s", r.TOML())
		}
	}
}

func TestTheSiteWithTLSIsTheOneThatIsImported(t *testing.T) {
	r := site(t, "<VirtualHost *:80>\nWSGIScriptAlias / /srv/plain.wsgi\n</VirtualHost>\n<VirtualHost *:443>\nWSGIScriptAlias / /srv/tls.wsgi\nSSLCertificateFile c\n</VirtualHost>\n"+
		"<VirtualHost *:81>\nAlias /static /srv/other\n</VirtualHost>")
	wantSettings(t, r, map[string]string{"app": "/srv/tls.wsgi", "bind": ":443", "static": ""})
}

func TestFilesThatApacheIncludesAreReadWhereTheyAre(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.conf":     "<VirtualHost *:81>\nInclude wsgi-*.inc\nIncludeOptional none-*.inc\n</VirtualHost>",
		"wsgi-1.inc": "WSGIScriptAlias / /srv/a.wsgi", "wsgi-2.inc": "\nWSGIDaemonProcess a threads=3",
		"loop.conf": "WSGIScriptAlias / /x.wsgi\nInclude loop.conf",
	})
	r := mustRead(t, filepath.Join(dir, "a.conf"), onFourCPUs())
	wantSettings(t, r, map[string]string{"app": "/srv/a.wsgi", "threads": "3", "bind": ":81"})
	for _, s := range r.Settings {
		if s.Key == "threads" && s.Place.String() != "wsgi-2.inc:2" {
			t.Errorf("threads are from %s", s.Place)
		}
	}
	if _, err := File(filepath.Join(dir, "loop.conf"), onFourCPUs()); err == nil || !strings.Contains(err.Error(), "include each other") {
		t.Error(err)
	}
}

func TestABrokenApacheFileIsAnErrorWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"WSGIScriptAlias / /x\n<VirtualHost *:80>":               "site.conf:2: <virtualhost> is not closed",
		"WSGIScriptAlias / /x\n</Directory>":                     "site.conf:2: </directory> has no <directory>",
		"<VirtualHost *:80>\nWSGIScriptAlias / /x\n</Directory>": "site.conf:3: </directory>",
		"WSGIScriptAlias / \"/x":                                 "site.conf:1: a quote is not closed",
		"WSGIPythonHome /v\n<VirtualHost *:80>\n</VirtualHost>":  "no WSGIScriptAlias",
	} {
		dir := folder(t, map[string]string{"site.conf": text})
		_, err := File(filepath.Join(dir, "site.conf"), onFourCPUs())
		if err == nil || !strings.Contains(err.Error(), want) || Unreadable(err) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
