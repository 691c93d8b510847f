package importer

import (
	"slices"
	"strings"
)

// rest are directives that gowsgi needs nothing for, or has nothing for.
func (a *apache) rest(d directive, at from) {
	switch why := apacheWithout[d.name]; {
	case why != "":
		a.r.note(at, "%s", why)
	case contains(apacheLater, d.name):
	case contains(apacheNeedless, d.name):
		a.r.needless(at.directive)
	case strings.HasPrefix(d.name, "ssl") || strings.HasPrefix(d.name, "require") || strings.HasPrefix(d.name, "auth"):
		if strings.HasPrefix(d.name, "auth") || d.name == "require" && !slices.Contains([]string{"all", "local"}, strings.ToLower(d.args[0])) {
			a.r.note(at, "authentication and access are the app's or a proxy's to check")
			return
		}
		a.r.needless(at.directive)
	default:
		a.r.note(at, "it is Apache's own: keep it there, with Apache as a proxy in front, or do it in the app")
	}
}

// directiveName is a directive as it is usually written.
func directiveName(name string) string {
	for _, usual := range apacheNames {
		if strings.EqualFold(usual, name) {
			return usual
		}
	}
	return name
}

var apacheNames = strings.Fields(`WSGIScriptAlias WSGIScriptAliasMatch WSGIDaemonProcess WSGIProcessGroup WSGIApplicationGroup WSGIPythonHome WSGIPythonPath WSGICallableObject
	WSGIPassAuthorization WSGIScriptReloading WSGIPythonOptimize WSGIPythonWarnings WSGIChunkedRequest WSGISocketPrefix WSGIRestrictStdout WSGIRestrictEmbedded WSGIImportScript
	WSGITrustedProxies WSGITrustedProxyHeaders WSGIErrorOverride WSGILazyInitialization WSGIEnableSendfile WSGIMapHEADToGET Alias AliasMatch ServerName ServerAlias ServerAdmin
	DocumentRoot ErrorLog CustomLog LogLevel LogFormat ErrorLogFormat SetEnv SetEnvIf PassEnv Listen LimitRequestBody Timeout KeepAlive KeepAliveTimeout AddOutputFilterByType XSendFile XSendFilePath
	Options AllowOverride Require Order Allow Deny SetHandler RewriteEngine RewriteCond RewriteRule Header RequestHeader Redirect RedirectMatch RedirectPermanent ErrorDocument LoadModule
	SSLEngine SSLProtocol SSLCipherSuite SSLHonorCipherOrder SSLCertificateFile SSLCertificateKeyFile SSLCACertificateFile SSLVerifyClient SSLOptions ProxyPass ProxyPassReverse ProxyPreserveHost
	AddDefaultCharset ExpiresActive ExpiresDefault FileETag IndexIgnore AuthType AuthName AuthUserFile AuthBasicProvider Include Define AddType ServerSignature Satisfy User Group`)

var (
	// apacheLater are directives that are looked at together.
	apacheLater = strings.Fields(`wsgiscriptalias wsgiscriptaliasmatch wsgidaemonprocess wsgiprocessgroup wsgicallableobject sslcertificatefile sslcertificatekeyfile
		sslcertificatechainfile sslcacertificatefile sslverifyclient listen logformat include`)
	// apacheNeedless are those that gowsgi needs nothing for.
	apacheNeedless = strings.Fields(`wsgiapplicationgroup wsgipassauthorization wsgichunkedrequest wsgisocketprefix wsgirestrictstdout wsgirestrictstdin
		wsgirestrictembedded wsgiimportscript wsgilazyinitialization wsgienablesendfile wsgimapheadtoget wsgiacceptmutex wsgisocketrotation wsgirestrictsignal wsgicasesensitivity
		wsgidestroyinterpreter wsgipythoneggs servername serveralias serveradmin documentroot loglevel errorlogformat options allowoverride order allow deny satisfy sethandler
		keepalive loadmodule addtype adddefaultcharset xsendfile serversignature servertokens namevirtualhost usecanonicalname fileetag indexignore addhandler multiviewsmatch
		directoryindex accept setoutputfilter deflatecompressionlevel addencoding enablesendfile expiresactive expiresdefault expiresbytype`)
	// apacheWithout are those without an equivalent, and what to do.
	apacheWithout = map[string]string{
		"rewriteengine": "there are no rewrite rules: http to https is --bind ':80 redirect', the rest the app's, a WSGI middleware's or the proxy's",
		"rewriterule":   "there are no rewrite rules: http to https is --bind ':80 redirect', the rest the app's, a WSGI middleware's or the proxy's",
		"rewritecond":   "there are no rewrite rules: http to https is --bind ':80 redirect', the rest the app's, a WSGI middleware's or the proxy's",
		"redirect":      "http to https is --bind ':80 redirect', other redirections are the app's", "redirectmatch": "redirections are the app's",
		"redirectpermanent": "http to https is --bind ':80 redirect', other redirections are the app's",
		"header":            "headers are the app's or the proxy's: set them in a WSGI middleware", "requestheader": "headers are the proxy's to set",
		"errordocument": "its own errors are plain text: have the proxy replace them", "wsgierroroverride": "its own errors are plain text: have the proxy replace them",
		"aliasmatch": "static files are under a prefix, not a pattern: [static] \"/prefix\" = \"FOLDER\"", "scriptalias": "only WSGI apps are served",
		"proxypass": "it proxies to nobody: keep Apache or nginx in front for that", "proxypassreverse": "it proxies to nobody: keep Apache or nginx in front for that",
		"wsgidispatchscript": "one mount for each app", "wsgihandlerscript": "one mount for each app",
		"wsgiscriptreloading": "a changed script reloads nothing by itself: gowsgi reload, or systemctl reload; new code must load before the old stops",
		"wsgiauthuserscript":  "authentication is the app's or the proxy's", "wsgiauthgroupscript": "authentication is the app's or the proxy's", "wsgiaccessscript": "access is the app's or the proxy's to check",
		"wsgitrustedproxyheaders": "name the fields in forwarded-header",
		"requestreadtimeout":      "set header-timeout, body-timeout and min-body-rate: their defaults are 30s, 60s and 240 bytes a second",
		"wsgiswitchinterval":      "call sys.setswitchinterval in the app",
	}
)
