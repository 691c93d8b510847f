package main

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// redirect sends each request to the same address by https, at the port given. The host is the one that the client asked for: a request that
// names none, or something that is no host, is answered 400.
func redirect(port int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		host, ok := hostOf(r.Host)
		target, whole := targetOf(r)
		if !ok || !whole {
			http.Error(w, "400 Bad Request", http.StatusBadRequest)
			return
		}
		if port != 443 {
			host += ":" + strconv.Itoa(port)
		}
		// 308 keeps the method and the body, so that the other end sees the request that was meant.
		w.Header().Set("Location", "https://"+host+target)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusPermanentRedirect)
	})
}

// hostOf is the host of a Host field without its port.
func hostOf(field string) (host string, ok bool) {
	host = field
	if h, port, err := net.SplitHostPort(field); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil && port != "" {
			return "", false
		}
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(field, "["), "]")
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() && a.Zone() == "" {
		return "[" + host + "]", true
	}
	const name = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
	return host, host != "" && strings.Trim(host, name) == ""
}

// targetOf is the path and query that the client asked for, as it wrote them.
func targetOf(r *http.Request) (target string, ok bool) {
	target = r.RequestURI
	if _, rest, absolute := strings.Cut(target, "://"); absolute && !strings.HasPrefix(target, "/") {
		_, path, _ := strings.Cut(rest, "/")
		target = "/" + path
		if i := strings.IndexByte(rest, '?'); i >= 0 && !strings.Contains(rest[:i], "/") {
			target = "/" + rest[i:]
		}
	}
	return target, strings.HasPrefix(target, "/")
}
