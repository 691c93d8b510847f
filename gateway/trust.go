package gateway

import (
	"fmt"
	"net/netip"
	"strings"
)

// TrustedProxy is a proxy, or a network of them, whose word on the client is taken. The zero value is none; [ParseTrustedProxy] makes them.
type TrustedProxy struct {
	prefix netip.Prefix
	word   string // trustUnix or trustAny where prefix is none
}

const (
	trustUnix = "unix"
	trustAny  = "*"
)

// ParseTrustedProxy reads an address ("10.0.0.7", "::1"), a network in CIDR notation ("10.0.0.0/8", "fd00::/8"), "unix" for whoever connects to
// a unix socket, or "*" for whoever connects at all. "*" is for where only the proxy can reach the server, and its address is not known
// beforehand: anybody else who reaches it says who he is. It holds for the connection alone, never for an address in a header, so that the
// client is whom that one proxy names.
func ParseTrustedProxy(text string) (TrustedProxy, error) {
	if text == trustUnix || text == trustAny {
		return TrustedProxy{word: text}, nil
	}
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return TrustedProxy{}, fmt.Errorf("%q is no proxy: an address, a network such as 10.0.0.0/8, unix or *", text)
		}
		a = a.Unmap()
		return TrustedProxy{prefix: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return TrustedProxy{}, fmt.Errorf("%q is no network such as 10.0.0.0/8 or fd00::/8", text)
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return TrustedProxy{}, fmt.Errorf("%q is no network: write its IPv4 addresses as such", text)
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	if m := p.Masked(); m != p {
		return TrustedProxy{}, fmt.Errorf("%q is an address, not a network: write %s, or %s", text, p.Addr(), m)
	}
	return TrustedProxy{prefix: p}, nil
}

// UnmarshalText implements [encoding.TextUnmarshaler], by ParseTrustedProxy.
func (p *TrustedProxy) UnmarshalText(text []byte) (err error) {
	*p, err = ParseTrustedProxy(string(text))
	return err
}

// MarshalText implements [encoding.TextMarshaler].
func (p TrustedProxy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String is what ParseTrustedProxy reads.
func (p TrustedProxy) String() string {
	switch {
	case p.word != "":
		return p.word
	case !p.prefix.IsValid():
		return ""
	case p.prefix.IsSingleIP():
		return p.prefix.Addr().String()
	}
	return p.prefix.String()
}

// proxies is what is trusted, and in which headers. nil: nobody.
type proxies struct {
	all     []TrustedProxy
	headers ForwardedHeaders
}

func newProxies(all []TrustedProxy, headers ForwardedHeaders) *proxies {
	if len(all) == 0 {
		return nil
	}
	if headers == 0 {
		headers = XForwarded
	}
	return &proxies{all, headers}
}

// ofPeer is p where the other end of a connection is trusted, else nil. addr is empty where it has none: then unix says whether the socket
// is a unix socket.
func (p *proxies) ofPeer(addr string, unix bool) *proxies {
	if p == nil {
		return nil
	}
	a, err := netip.ParseAddr(addr)
	a = a.Unmap().WithZone("")
	for _, t := range p.all {
		if t.word == trustAny || t.word == trustUnix && unix || err == nil && t.prefix.Contains(a) {
			return p
		}
	}
	return nil
}

// ofAddr is p where an address that a proxy names is trusted, else nil: "*" is not for that.
func (p *proxies) ofAddr(addr string) *proxies {
	if a, err := netip.ParseAddr(addr); p == nil || err != nil || !p.has(a) {
		return nil
	}
	return p
}

// has says whether an address in a header is a trusted proxy's.
func (p *proxies) has(a netip.Addr) bool {
	for i := range p.all {
		if p.all[i].prefix.Contains(a) {
			return true
		}
	}
	return false
}
