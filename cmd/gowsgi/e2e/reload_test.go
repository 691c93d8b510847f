package e2e

import (
	"strconv"
	"testing"
)

func TestTwentyReloadsUnderLoadFailNoRequest(t *testing.T) {
	d := deploy(t, 2, options{})
	load := d.load(t)
	for n := range 20 {
		name := "release " + strconv.Itoa(n)
		d.release(t, name)
		d.reloadOK(t)
		d.answersFrom(t, name)
	}
	load.endWithout(t)
}
