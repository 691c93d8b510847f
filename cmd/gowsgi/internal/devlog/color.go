package devlog

import (
	"os"

	"golang.org/x/sys/unix"
)

// Color says whether a descriptor is a terminal that shows colours, and the user wants them: NO_COLOR is empty or unset (no-color.org).
func Color(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// color is the parameter of SGR, ECMA-48 section 8.3.117.
type color string

const (
	plain  color = ""
	dim    color = "2"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
	cyan   color = "36"
)

// paint says whether there are colours.
type paint bool

// append appends text in a colour.
func (p paint) append(dst []byte, c color, text string) []byte {
	if !p || c == plain {
		return append(dst, text...)
	}
	dst = append(append(append(dst, "\x1b["...), c...), 'm')
	return append(append(dst, text...), "\x1b[0m"...)
}
