package importer

import (
	"strings"
)

// listeners are the addresses of the site, and its certificate.
func (a *apache) listeners(at from) {
	r := a.r
	cert, speaksTLS := a.last("sslcertificatefile")
	if speaksTLS {
		key := ""
		if d, ok := a.last("sslcertificatekeyfile"); ok {
			key = d.args[0]
		}
		r.certificate(cert.args[0], key, from{cert.Place, "SSLCertificateFile"})
		if d, ok := a.last("sslcertificatechainfile"); ok {
			r.note(from{d.Place, "SSLCertificateChainFile"}, "the chain stands in the certificate's file, behind the certificate: cat both into one")
		}
		a.clients()
	}
	acme := r.has("acme")
	var addresses []directive
	for _, d := range a.directives {
		if d.name == "listen" && len(d.args) > 0 {
			addresses = append(addresses, d)
		}
	}
	if len(addresses) == 0 && a.host != nil {
		for _, arg := range a.host.args {
			addresses = append(addresses, directive{name: "<VirtualHost>", args: []string{arg}, Place: a.host.Place})
		}
	}
	for _, d := range addresses {
		address := d.args[0]
		if !strings.Contains(address, ":") && digits().FindString(address) != address {
			address += ":80"
		}
		address = strings.Replace(address, "_default_", "*", 1)
		port := address[strings.LastIndex(address, ":")+1:]
		words := ""
		if (speaksTLS || acme) && (port == "80" || port == "8080") {
			words = "redirect"
		}
		if port == "*" {
			continue
		}
		r.bindAt(address, words, from{d.Place, directiveName(d.name)})
	}
	if r.has("bind") {
		r.note(from{at.Place, "bind"}, "this is for gowsgi in Apache's place. Behind Apache bind a unix socket instead, and take certfile and static out: docs/from-mod_wsgi.md has both files")
	}
	if !speaksTLS && !acme {
		r.trust(from{at.Place, "bind"})
	}
}

// clients are asked for certificates of their own.
func (a *apache) clients() {
	verify, ok := a.last("sslverifyclient")
	ca, named := a.last("sslcacertificatefile")
	if !ok || !named || strings.EqualFold(verify.args[0], "none") {
		return
	}
	at := from{ca.Place, "SSLCACertificateFile"}
	a.r.set("client-ca", ca.args[0], at)
	if strings.HasPrefix(strings.ToLower(verify.args[0]), "optional") {
		a.r.set("client-cert", "optional", from{verify.Place, "SSLVerifyClient"})
	}
	if _, ok := verify.in("location"); ok {
		a.r.note(from{verify.Place, "SSLVerifyClient"}, "client certificates hold for all paths, not for a location")
	}
}
