package main

import (
	"net"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/certs"
	"github.com/gowsgi/gowsgi/gateway"
)

// loadTLS makes what listeners that speak TLS have in common.
func (w *worker) loadTLS() error {
	if w.s.TLS == nil {
		return nil
	}
	store, err := certs.NewStore(w.s.TLS, w.log)
	if err != nil {
		return err
	}
	w.tls = store.Config()
	if w.acme != nil {
		w.acme.AddTo(w.tls)
	}
	return nil
}

// listener gives a listener its settings.
func (w *worker) listener(ln net.Listener, set listenerSetting) *gateway.Listener {
	l := &gateway.Listener{Listener: ln, ProxyProtocol: set.ProxyProtocol}
	switch {
	case w.tls == nil, set.Plain:
	case set.Redirect:
		if l.Handler = redirect(w.s.TLSPort); w.acme != nil {
			l.Handler = w.acme.HTTPChallenge(l.Handler)
		}
	default:
		l.TLS = w.tls
	}
	return l
}
