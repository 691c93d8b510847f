package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a number of bytes, written with k, m or g for 1024, 1024^2, 1024^3.
type size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *size) UnmarshalText(text []byte) error {
	digits, unit := strings.ToLower(string(text)), int64(1)
	for i, suffix := range []string{"k", "m", "g"} {
		if rest, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = rest, 1<<(10*(i+1))
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return fmt.Errorf("%q is not a size such as 4096, 64k, 16m or 1g", text)
	}
	*s = size(int64(n) * unit)
	return nil
}

// String is the shortest way to write it.
func (s size) String() string {
	for i, suffix := range []string{"g", "m", "k"} {
		if unit := size(1) << (10 * (3 - i)); s != 0 && s%unit == 0 {
			return strconv.FormatInt(int64(s/unit), 10) + suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
