package accesslog

import "time"

// dates makes the text of times, of each second once. Not for several goroutines at once.
type dates struct {
	offset int64 // Unix time in ns at 0 of Now
	synced time.Duration
	// The second that the texts are for, in Unix time.
	localSecond, utcSecond int64
	localText, utcText     []byte
}

// sync follows a system clock that was set.
func (d *dates) sync(now time.Duration) {
	if d.offset == 0 || now-d.synced > time.Second {
		d.offset, d.synced = time.Now().UnixNano()-int64(Now()), now
	}
}

// local is Apache's %t.
func (d *dates) local(at time.Duration) []byte {
	if s := (d.offset + int64(at)) / 1e9; s != d.localSecond || d.localText == nil {
		d.localSecond = s
		d.localText = time.Unix(s, 0).AppendFormat(d.localText[:0], "[02/Jan/2006:15:04:05 -0700]")
	}
	return d.localText
}

// appendUTC appends RFC 3339 with microseconds.
func (d *dates) appendUTC(dst []byte, at time.Duration) []byte {
	ns := d.offset + int64(at)
	s := ns / 1e9
	if s != d.utcSecond || d.utcText == nil {
		d.utcSecond = s
		d.utcText = time.Unix(s, 0).UTC().AppendFormat(d.utcText[:0], "2006-01-02T15:04:05.")
	}
	dst = append(dst, d.utcText...)
	return append(appendDecimals(dst, uint64(ns%1e9/1e3)), 'Z')
}
