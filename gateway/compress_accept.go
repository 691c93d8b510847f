package gateway

import "github.com/gowsgi/gowsgi/gateway/internal/contentcoding"

type coding = contentcoding.Coding

// The codings of compressed responses, in the order in which the server prefers them where a client likes several as much: zstd costs the
// least for what it saves, gzip saves the least.
const (
	identity     = contentcoding.Identity
	zstdCoding   = contentcoding.Zstd
	brotliCoding = contentcoding.Brotli
	gzipCoding   = contentcoding.Gzip
	codings      = contentcoding.Count
)

// acceptedCoding is the coding that a client wants by its Accept-Encoding fields, RFC 9110 section 12.5.3. It is identity also where the
// client takes nothing that the server has: a response without a coding is better than none.
func acceptedCoding(fields []field) coding {
	var weights contentcoding.Weights
	for i := range fields {
		if f := &fields[i]; len(f.name) == len("Accept-Encoding") && equalFold(f.name, "accept-encoding") {
			weights.Add(text(f.value))
		}
	}
	best, most := identity, weights.Of(identity)
	for _, c := range [...]coding{zstdCoding, brotliCoding, gzipCoding} {
		// A coding is as good as none at the same weight; among codings the first is the best.
		if w := weights.Of(c); w > most || w > 0 && w == most && best == identity {
			best, most = c, w
		}
	}
	return best
}
