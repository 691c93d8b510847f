package devlog

import (
	"fmt"
	"time"
)

// appendText appends p, at most max bytes of it, with everything but printable ASCII escaped.
func appendText(dst, p []byte, max int) []byte {
	cut := len(p) > max
	if cut {
		p = p[:max]
	}
	for _, c := range p {
		if c < ' ' || c > '~' {
			dst = fmt.Appendf(dst, `\x%02X`, c)
		} else {
			dst = append(dst, c)
		}
	}
	if cut {
		dst = append(dst, "..."...)
	}
	return dst
}

// duration is d with the digits that matter: 0.4 ms, 12 ms, 1.50 s, 2m5s.
func duration(d time.Duration) string {
	ms := float64(max(d, 0)) / float64(time.Millisecond)
	switch {
	case ms < 9.95:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 999.5:
		return fmt.Sprintf("%.0f ms", ms)
	case d < time.Minute-5*time.Millisecond:
		return fmt.Sprintf("%.2f s", ms/1000)
	}
	return d.Round(time.Second).String()
}

// size is a number of bytes in decimal units: 14 B, 3.4 kB.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", max(n, 0))
	}
	x, unit := float64(n)/1000, 0
	for x >= 999.95 && unit < len(units)-1 {
		x, unit = x/1000, unit+1
	}
	return fmt.Sprintf("%.1f %cB", x, units[unit])
}

const units = "kMGT"
