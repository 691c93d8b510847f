package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// wordsOf are the words for sockets that systemd bound: those of the --bind that names the same address, or fd:3 for the first, fd:4 for the
// second. Words for a socket that is not there are an error: without them it would be served in another way than meant.
func wordsOf(passed []net.Listener, binds []bind) ([]bindWords, error) {
	words := make([]bindWords, len(passed))
	for _, b := range binds {
		if b.words == (bindWords{}) {
			continue
		}
		if b.words.owned() {
			return nil, fmt.Errorf("--bind %q: the socket is systemd's: say it in the .socket unit (SocketMode=, SocketUser=, SocketGroup=)", b)
		}
		found := false
		for i, ln := range passed {
			if b.names(ln, i) {
				words[i], found = b.words, true
			}
		}
		if !found {
			return nil, fmt.Errorf("--bind %q: systemd passed no socket of that address", b)
		}
	}
	return words, nil
}

// names says whether the address is that of a socket that systemd passed as its i-th.
func (b bind) names(ln net.Listener, i int) bool {
	switch b.network {
	case "fd":
		const first = 3 // sd_listen_fds(3)
		return b.address == strconv.Itoa(first+i)
	case "unix":
		return ln.Addr().Network() == "unix" && ln.Addr().String() == b.address
	}
	its, err := netip.ParseAddrPort(ln.Addr().String())
	if err != nil {
		return false
	}
	host, port, _ := net.SplitHostPort(b.address)
	addr, err := netip.ParseAddr(host)
	return port == strconv.Itoa(int(its.Port())) && (host == "" || err == nil && addr.Unmap() == its.Addr().Unmap())
}
