package gateway

import (
	"crypto/tls"
	"net"
	"net/http"
)

// Listener is a listener with settings of its own, for [Server.Serve]. Its fields are set before and not changed afterwards.
type Listener struct {
	// Listener is a *net.TCPListener or a *net.UnixListener.
	net.Listener
	// TLS, where set, makes its connections speak TLS: HTTP/1.1, and HTTP/2 where NextProtos has "h2" (HTTP/1.1 alone where it is empty). A
	// handshake may take Server.HeaderTimeout; one that fails ends the connection, and is logged at debug level; where it was for the
	// client's certificate, which must be one of ClientCAs, as a warning, once a minute at most with the number of such clients.
	TLS *tls.Config
	// ProxyProtocol makes each connection begin with a PROXY header (version 1 or 2), which says whom it is from; one without is closed.
	ProxyProtocol bool
	// Handler, where set, answers all requests of the listener, whatever the mounts.
	Handler http.Handler
}
