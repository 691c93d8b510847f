package main

import (
	"fmt"

	"github.com/gowsgi/gowsgi/gateway"
)

// proxyFlags say whose word on the client is taken, and in which header fields.
type proxyFlags struct {
	TrustedProxy    []gateway.TrustedProxy     `placeholder:"ADDRESS" help:"A proxy whose word on the client is taken: an address, a network (10.0.0.0/8), unix for whoever connects to a unix socket, * for whoever connects. Can be repeated. Default: nobody."`
	ForwardedHeader []gateway.ForwardedHeaders `default:"x-forwarded" placeholder:"NAME" help:"Header fields that trusted proxies set: forwarded, x-forwarded for all five of that name, or one of them, such as x-forwarded-for. Can be repeated. Default: ${default}."`
	HeaderPolicy    gateway.HeaderPolicy       `default:"drop" placeholder:"POLICY" help:"What is done with header fields whose names have underscores: drop, refuse (400), allow. Default: ${default}."`
}

func (f *proxyFlags) check() error {
	if all := f.headers(); all&gateway.Forwarded != 0 && all != gateway.Forwarded {
		return fmt.Errorf("--forwarded-header: forwarded and the x-forwarded fields exclude each other; name those that the proxies set")
	}
	if len(f.TrustedProxy) == 0 && f.headers() != gateway.XForwarded {
		return fmt.Errorf("--forwarded-header needs --trusted-proxy: nobody else's word is taken")
	}
	return nil
}

func (f *proxyFlags) headers() (all gateway.ForwardedHeaders) {
	for _, h := range f.ForwardedHeader {
		all |= h
	}
	return all
}

// set makes them the server's settings.
func (f *proxyFlags) set(s *gateway.Server) {
	s.TrustedProxies, s.ForwardedHeaders, s.HeaderPolicy = f.TrustedProxy, f.headers(), f.HeaderPolicy
}
