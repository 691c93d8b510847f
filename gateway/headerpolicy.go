package gateway

import (
	"bytes"
	"fmt"
	"hash/maphash"

	"github.com/gowsgi/gowsgi/pyhost"
)

// HeaderPolicy is what is done with header fields whose names have underscores. In the environ "X_User" would be the same key as "X-User",
// which a proxy may have checked.
type HeaderPolicy uint8

// The policies.
const (
	// DropUnderscores keeps them from the app.
	DropUnderscores HeaderPolicy = iota
	// RefuseUnderscores answers 400.
	RefuseUnderscores
	// AllowUnderscores gives them to the app, unless a field with dashes has the same key, or the server itself goes by that.
	AllowUnderscores
)

// UnmarshalText implements [encoding.TextUnmarshaler]: drop, refuse or allow.
func (p *HeaderPolicy) UnmarshalText(text []byte) error {
	for _, known := range []HeaderPolicy{DropUnderscores, RefuseUnderscores, AllowUnderscores} {
		if known.String() == string(text) {
			*p = known
			return nil
		}
	}
	return fmt.Errorf("%q is none of drop, refuse, allow", text)
}

// MarshalText implements [encoding.TextMarshaler].
func (p HeaderPolicy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String is what UnmarshalText reads.
func (p HeaderPolicy) String() string {
	switch p {
	case RefuseUnderscores:
		return "refuse"
	case AllowUnderscores:
		return "allow"
	}
	return "drop"
}

// check returns 0, or the status to refuse the request with.
func (p HeaderPolicy) check(q *request) (status int) {
	if p != RefuseUnderscores {
		return 0
	}
	for i := range q.fields {
		if bytes.IndexByte(q.fields[i].name, '_') >= 0 {
			return 400
		}
	}
	return 0
}

// appendUnderscored is appendField for a name with underscores that may be given to the app.
func appendUnderscored(rec []byte, q *request, i int) []byte {
	name := q.fields[i].name
	dashed := bytes.ReplaceAll(name, []byte("_"), []byte("-"))
	if isForwarding(dashed) {
		return rec
	}
	for _, own := range []string{"content-length", "content-type", "transfer-encoding", "x-request-id"} {
		if equalFold(dashed, own) {
			return rec
		}
	}
	value := q.fields[i].value
	value = value[:len(value):len(value)]
	for j := range q.fields {
		other := q.fields[j].name
		switch {
		case j == i || !q.mayBeSame(i, j) || !sameKey(name, other):
		case j < i || bytes.IndexByte(other, '_') < 0:
			return rec
		default:
			value = append(append(value, ','), q.fields[j].value...)
		}
	}
	return pyhost.AppendPair(rec, text(appendKey(nil, name)), text(value))
}

// fewFields may be compared by pairs, even where their names are long and differ at their end alone.
const fewFields = 32

var nameSeed = maphash.MakeSeed()

// sumNames prepares mayBeSame where there are many fields.
func (q *request) sumNames() {
	q.sums = nil
	if len(q.fields) <= fewFields {
		return
	}
	q.sums = make([]uint64, len(q.fields))
	for i := range q.fields {
		name := bytes.ToLower(q.fields[i].name)
		for j, c := range name {
			if c == '_' {
				name[j] = '-'
			}
		}
		q.sums[i] = maphash.Bytes(nameSeed, name)
	}
}

// mayBeSame is false where the names of two fields are different keys for certain.
func (q *request) mayBeSame(i, j int) bool { return q.sums == nil || q.sums[i] == q.sums[j] }

// sameKey says whether two names become one key of the environ.
func sameKey(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) && !((a[i] == '-' || a[i] == '_') && (b[i] == '-' || b[i] == '_')) {
			return false
		}
	}
	return true
}

// hides says whether a field is kept from the app: what tells of the client or of the URL in a proxy's place, where it is not from a trusted
// proxy, or is not one that these are taken at their word in.
func (e *endpoints) hides(name []byte) bool {
	if e.proxies == nil {
		return isForwarding(name)
	}
	for _, n := range forwardedNames {
		if n.bits != XForwarded && equalFold(name, n.name) {
			return e.proxies.headers&n.bits == 0 || e.proxies.headers&Forwarded != 0 && n.bits != Forwarded
		}
	}
	return e.proxies.headers&Forwarded != 0 && isXForwarded(name)
}

func isXForwarded(name []byte) bool {
	const x = "x-forwarded"
	return len(name) >= len(x) && equalFold(name[:len(x)], x) && (len(name) == len(x) || name[len(x)] == '-')
}

// isForwarding says whether frameworks, or their extensions, take the field for a proxy's word on the client's address or on the URL.
func isForwarding(name []byte) bool {
	if isXForwarded(name) {
		return true
	}
	is := func(all ...string) bool {
		for _, s := range all {
			if equalFold(name, s) {
				return true
			}
		}
		return false
	}
	switch len(name) {
	case 8:
		return is("x-scheme")
	case 9:
		return is("x-real-ip", "forwarded", "client-ip")
	case 11:
		return is("x-client-ip", "x-real-port")
	case 12:
		return is("x-url-scheme")
	case 13:
		return is("forwarded-for", "x-script-name", "x-rewrite-url")
	case 14:
		return is("true-client-ip", "x-original-url")
	case 15:
		return is("front-end-https", "x-original-host")
	case 16:
		return is("cf-connecting-ip", "fastly-client-ip", "x-original-proto", "x-azure-clientip")
	case 19:
		return is("x-cluster-client-ip", "x-appengine-user-ip")
	case 24:
		return is("x-original-forwarded-for", "x-envoy-external-address")
	}
	return false
}
