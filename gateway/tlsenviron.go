package gateway

import (
	"crypto/tls"
	"encoding/pem"
	"strings"

	"github.com/gowsgi/gowsgi/pyhost"
)

// appendTLS appends what the environ says of a TLS connection, under the names that Apache's mod_ssl gives.
func appendTLS(rec []byte, state *tls.ConnectionState) []byte {
	rec = pyhost.AppendPair(rec, "HTTPS", "on")
	rec = pyhost.AppendPair(rec, "SSL_PROTOCOL", protocolName(state.Version))
	rec = pyhost.AppendPair(rec, "SSL_CIPHER", tls.CipherSuiteName(state.CipherSuite))
	if name := []byte(state.ServerName); len(name) > 0 && len(name) <= 255 && validAuthority(name) { // crypto/tls takes any bytes
		rec = pyhost.AppendPair(rec, "SSL_TLS_SNI", state.ServerName)
	}
	if len(state.PeerCertificates) == 0 || len(state.VerifiedChains) == 0 {
		return pyhost.AppendPair(rec, "SSL_CLIENT_VERIFY", "NONE")
	}
	cert := state.PeerCertificates[0]
	rec = pyhost.AppendPair(rec, "SSL_CLIENT_VERIFY", "SUCCESS")
	rec = pyhost.AppendPair(rec, "SSL_CLIENT_S_DN", cert.Subject.String())
	rec = pyhost.AppendPair(rec, "SSL_CLIENT_I_DN", cert.Issuer.String())
	rec = pyhost.AppendPair(rec, "SSL_CLIENT_M_SERIAL", strings.ToUpper(cert.SerialNumber.Text(16)))
	return pyhost.AppendPair(rec, "SSL_CLIENT_CERT", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
}

// protocolName is a version as mod_ssl writes it.
func protocolName(version uint16) string {
	switch version {
	case tls.VersionTLS13:
		return "TLSv1.3"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS10:
		return "TLSv1"
	}
	return tls.VersionName(version)
}
