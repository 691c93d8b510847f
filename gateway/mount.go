package gateway

import (
	"net/http"
	"sort"
	"strings"
	"time"
)

// Mount puts an app, or a Go handler, under a URL prefix.
type Mount struct {
	// Prefix is "" (or "/") for every path, else a path like "/api": it matches "/api" and "/api/users", not "/apiary", and becomes
	// SCRIPT_NAME. It is compared with the percent-decoded path. A slash at its end is ignored, a missing one at its beginning is added.
	Prefix string
	// App is the number that App.NewExchange's host knows the app by.
	App int
	// Handler, where set, answers instead of an app, on a goroutine of its own for each connection. It gets the whole path, as under
	// http.ServeMux. Under [Server] the request's context ends when the handler returns, and when the client has left or is cut; one that sends a
	// body is not seen to leave before all of it was read. Shutdown waits for handlers: those of endless streams return by [Server.Draining].
	// A request's RemoteAddr and Host are by the word of Server.TrustedProxies (the port is 0 where they don't say it); what others say of that
	// is not in its Header. Requests of handlers are not among [Server.Requests].
	Handler http.Handler
	// RequestTimeout is how long the app may take for a request, from its call on. 0: as Server.RequestTimeout says (without limit in
	// [Handler] and [HTTPHandler]); negative: without limit.
	RequestTimeout time.Duration
}

// timeout is the time that the app has, 0 without limit, where others have as much as whole.
func (m *Mount) timeout(whole time.Duration) time.Duration {
	if m.RequestTimeout != 0 {
		whole = m.RequestTimeout
	}
	return max(whole, 0)
}

// sortMounts returns the mounts with their prefixes in one form, longest first.
func sortMounts(mounts []Mount) []Mount {
	sorted := make([]Mount, len(mounts))
	for i, m := range mounts {
		m.Prefix = strings.Trim(m.Prefix, "/")
		if m.Prefix != "" {
			m.Prefix = "/" + m.Prefix
		}
		sorted[i] = m
	}
	sort.SliceStable(sorted, func(i, j int) bool { return len(sorted[i].Prefix) > len(sorted[j].Prefix) })
	return sorted
}

// findMount returns the mount with the longest prefix of path, which is percent-decoded, or nil. The asterisk form has an empty path; only
// a mount of every path takes it.
func findMount(sorted []Mount, path []byte) *Mount {
	for i := range sorted {
		m := &sorted[i]
		n := len(m.Prefix)
		if len(path) >= n && string(path[:n]) == m.Prefix && (n == 0 || len(path) == n || path[n] == '/') {
			return m
		}
	}
	return nil
}
