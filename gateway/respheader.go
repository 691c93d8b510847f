package gateway

import (
	"fmt"
	"strconv"

	"github.com/gowsgi/gowsgi/pyhost"
)

// serverName is the Server field of a response whose app set none, and SERVER_SOFTWARE.
const serverName = "gowsgi"

// framing is how a client finds the end of a response body, RFC 9112 section 6.3.
type framing uint8

const (
	noBody     framing = iota // HEAD, 204, 304
	byLength                  // Content-Length
	byChunks                  // Transfer-Encoding: chunked
	untilClose                // the end of the connection
)

// responseHead is what the status line and the fields of an app's response say. check fills it and is the only gate: nothing of an app
// reaches the wire before it.
type responseHead struct {
	code      int
	length    int64 // the app's Content-Length, -1 where it gave none
	hasDate   bool
	hasServer bool
	hasID     bool
	id        []byte // the request's, for X-Request-ID; nil: none
}

// headerError says what is wrong with a response's status line or field.
type headerError struct{ what, name, problem string }

func (e *headerError) Error() string {
	if e.name == "" {
		return fmt.Sprintf("gateway: the app's %s %s", e.what, e.problem)
	}
	return fmt.Sprintf("gateway: the app's %s %q %s", e.what, e.name, e.problem)
}

// check reads status ("200 OK") and headers (a record, see pyhost.NextPair). PEP 3333, section "The start_response() Callable": no control
// characters, no hop-by-hop fields. RFC 9110 section 8.6: one Content-Length.
func (h *responseHead) check(status, headers []byte) error {
	*h = responseHead{length: -1}
	if len(status) < 4 || status[3] != ' ' || !isDigit(status[0]) || !isDigit(status[1]) || !isDigit(status[2]) {
		return &headerError{"status", string(status), `is not three digits, a space and a reason (as "200 OK")`}
	}
	if !all(status, fieldChar) {
		return &headerError{"status", string(status), "has a control character"}
	}
	h.code = int(status[0]-'0')*100 + int(status[1]-'0')*10 + int(status[2]-'0')
	if h.code < 200 {
		return &headerError{"status", string(status), "is under 200: interim responses are not the app's"}
	}
	for {
		name, value, rest, ok := pyhost.NextPair(headers)
		if !ok {
			if len(rest) > 0 {
				return &headerError{"header record", "", "is malformed"}
			}
			return nil
		}
		headers = rest
		if len(name) == 0 || !all(name, tokenChar) {
			return &headerError{"header name", string(name), "is not a token (RFC 9110 section 5.1)"}
		}
		if !all(value, fieldChar) {
			return &headerError{"header", string(name), "has a control character in its value"}
		}
		if err := h.checkField(name, value); err != nil {
			return err
		}
	}
}

func (h *responseHead) checkField(name, value []byte) error {
	if isHopByHop(name) {
		return &headerError{"header", string(name), `is hop-by-hop, which is the server's (PEP 3333, "Other HTTP Features")`}
	}
	switch len(name) {
	case 4:
		h.hasDate = h.hasDate || equalFold(name, "date")
	case 6:
		h.hasServer = h.hasServer || equalFold(name, "server")
	case len(requestIDField):
		h.hasID = h.hasID || isRequestID(name)
	case 14:
		if !equalFold(name, "content-length") {
			break
		}
		if h.length >= 0 {
			return &headerError{"header", string(name), "is there twice"}
		}
		if h.length = parseLength(value); h.length < 0 {
			return &headerError{"header", string(name), fmt.Sprintf("is %q, not a number of bytes", value)}
		}
	}
	return nil
}

// isHopByHop is wsgiref.util.is_hop_by_hop.
func isHopByHop(name []byte) bool {
	switch len(name) {
	case 2:
		return equalFold(name, "te")
	case 7:
		return equalFold(name, "upgrade")
	case 8:
		return equalFold(name, "trailers")
	case 10:
		return equalFold(name, "connection") || equalFold(name, "keep-alive")
	case 17:
		return equalFold(name, "transfer-encoding")
	case 18:
		return equalFold(name, "proxy-authenticate")
	case 19:
		return equalFold(name, "proxy-authorization")
	}
	return false
}

// bodyless says that no body follows, whatever the fields say (RFC 9112 section 6.3).
func (h *responseHead) bodyless(head bool) bool { return head || h.code == 204 || h.code == 304 }

// frame decides the framing, and with byLength the length. complete says that the whole body, of total bytes, is there.
func (h *responseHead) frame(head, http10, complete bool, total int64) (f framing, length int64) {
	switch {
	case h.bodyless(head):
		return noBody, 0
	case h.length >= 0:
		return byLength, h.length
	case complete:
		return byLength, total
	case http10:
		return untilClose, 0
	}
	return byChunks, 0
}

// append appends the header section, framed as frame said. It adds Date, Server and the framing, and nothing that the app set.
func (h *responseHead) append(dst, status, headers []byte, f framing, length int64, http10, keepAlive bool) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = append(dst, status...)
	dst = append(dst, "\r\n"...)
	for {
		name, value, rest, ok := pyhost.NextPair(headers)
		if !ok {
			break
		}
		headers = rest
		// RFC 9110 section 8.6: no Content-Length in a 204. Django sends one of 0.
		if h.code == 204 && equalFold(name, "content-length") {
			continue
		}
		dst = append(dst, name...)
		dst = append(dst, ": "...)
		dst = append(dst, value...)
		dst = append(dst, "\r\n"...)
	}
	if !h.hasDate {
		dst = appendDate(dst)
	}
	if !h.hasServer {
		dst = append(dst, "Server: "+serverName+"\r\n"...)
	}
	if h.id != nil && !h.hasID {
		dst = appendRequestID(dst, h.id)
	}
	if f == byLength && h.length < 0 {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, length, 10)
		dst = append(dst, "\r\n"...)
	}
	if f == byChunks {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	return appendConnection(dst, http10, keepAlive)
}

// appendConnection appends the Connection field where the version's default is not what we do, and ends the header section.
func appendConnection(dst []byte, http10, keepAlive bool) []byte {
	if !keepAlive {
		dst = append(dst, "Connection: close\r\n"...)
	} else if http10 {
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}
