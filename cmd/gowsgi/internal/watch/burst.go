package watch

import "time"

const (
	quietOne   = 10 * time.Millisecond // while it is one file
	quiet      = 25 * time.Millisecond
	latest     = 250 * time.Millisecond
	many       = 50 // files, beyond which it is no editor that writes
	quietMany  = 100 * time.Millisecond
	latestMany = 2 * time.Second
)

// burst gathers events that belong together.
type burst struct {
	timer    *time.Timer // fires when it is over
	first    time.Time
	files    map[string]bool // whether the file is known to have been there
	overflow bool
}

func newBurst() burst {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return burst{timer: t, files: map[string]bool{}}
}

// add adds a file; known tells that it was there before, though it may be gone.
func (b *burst) add(path string, known bool, now time.Time) {
	b.files[path] = known || b.files[path]
	b.wait(now)
}

func (b *burst) addOverflow(now time.Time) {
	b.overflow = true
	b.wait(now)
}

// wait waits for quiet from now on.
func (b *burst) wait(now time.Time) {
	if b.first.IsZero() {
		b.first = now
	}
	b.timer.Reset(b.left(now))
}

// left is how long it lasts if nothing more comes.
func (b *burst) left(now time.Time) time.Duration {
	q, l := quiet, latest
	switch {
	case len(b.files) > many || b.overflow:
		q, l = quietMany, latestMany
	case len(b.files) == 1:
		q = quietOne
	}
	return min(q, l-now.Sub(b.first))
}

// take ends the burst.
func (b *burst) take() map[string]bool {
	files := b.files
	b.files, b.first = map[string]bool{}, time.Time{}
	return files
}

func (b *burst) takeOverflow() bool {
	is := b.overflow
	b.overflow = false
	return is
}
