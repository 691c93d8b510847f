package gateway

import (
	cryptorand "crypto/rand"
	"math/rand/v2"
	"sync"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/pyhost"
)

const (
	requestIDField = "X-Request-ID"
	requestIDKey   = "HTTP_X_REQUEST_ID"
	maxRequestID   = 128 // bytes of one that is taken from a proxy
	newRequestID   = 32  // of a new one
)

// requestIDs makes the ids of requests: 128 random bits in hexadecimal digits, as nginx's $request_id. The generator is seeded here, since Go's
// own has the same seed in all processes that are forked from one before Go starts in them.
type requestIDs struct {
	mu     sync.Mutex
	random *rand.ChaCha8
}

// requestIDsFor makes ids where they are wanted, or log shows them; else it returns nil.
func requestIDsFor(wanted bool, log *accesslog.Log) *requestIDs {
	if !wanted && (log == nil || !log.WantsRequestID()) {
		return nil
	}
	var seed [32]byte
	_, _ = cryptorand.Read(seed[:]) // it never fails
	return &requestIDs{random: rand.NewChaCha8(seed)}
}

func (r *requestIDs) appendNew(dst []byte) []byte {
	r.mu.Lock()
	bits := [2]uint64{r.random.Uint64(), r.random.Uint64()}
	r.mu.Unlock()
	const digits = "0123456789abcdef"
	for _, n := range bits {
		for range 16 {
			dst = append(dst, digits[n>>60])
			n <<= 4
		}
	}
	return dst
}

// of is the id of q, always the same: that of its own X-Request-ID where a trusted proxy sent one that is a plain word, else a new one. It is
// memory of q. nil: requests have none.
func (r *requestIDs) of(q *request, e *endpoints) []byte {
	if r == nil {
		return nil
	}
	if q.id == nil && e.proxies != nil {
		q.id = requestIDOf(q)
	}
	if q.id == nil {
		q.id = r.appendNew(q.newID[:0])
	}
	return q.id
}

// appendTo appends the id of q to its environ record, and returns it as a part of the record. appendField left the request's own field out.
func (r *requestIDs) appendTo(rec []byte, q *request, e *endpoints) (_, id []byte) {
	id = r.of(q, e)
	rec = pyhost.AppendPair(rec, requestIDKey, text(id))
	return rec, rec[len(rec)-len(id):]
}

// requestIDOf is what q says of its id; nil where it says nothing, or what could do harm in a log.
func requestIDOf(q *request) (id []byte) {
	for i := range q.fields {
		f := &q.fields[i]
		if !isRequestID(f.name) {
			continue
		}
		if id != nil || len(f.value) == 0 || len(f.value) > maxRequestID || !all(f.value, requestIDChar) {
			return nil
		}
		id = f.value
	}
	return id
}

// appendRequestID appends the id as a field of a response.
func appendRequestID(dst, id []byte) []byte {
	dst = append(dst, requestIDField+": "...)
	dst = append(dst, id...)
	return append(dst, "\r\n"...)
}

func isRequestID(name []byte) bool {
	return len(name) == len(requestIDField) && equalFold(name, "x-request-id")
}
