package static

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
)

// Each response holds a descriptor for as long as its client takes to read it. Clients that read slowly, or that have many HTTP/2 streams, must
// not take those that other connections and the app need, so that only mostOpen responses have a file at a time.
var (
	opened   atomic.Int64
	mostOpen = sync.OnceValue(func() int64 {
		const least, part = 16, 16
		var l syscall.Rlimit
		if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
			return least
		}
		return int64(max(min(l.Cur, 1<<30)/part, least))
	})
)

var errBusy = fmt.Errorf("as many files are being sent as may be (a sixteenth of RLIMIT_NOFILE): %w", syscall.EMFILE)

// hold takes one of mostOpen, until release.
func hold() error {
	if opened.Add(1) > mostOpen() {
		opened.Add(-1)
		return errBusy
	}
	return nil
}

func release() { opened.Add(-1) }
