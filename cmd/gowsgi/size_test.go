package main

import "testing"

func TestSizesAreBytesOrWithAUnit(t *testing.T) {
	for in, want := range map[string]size{
		"0": 0, "4096": 4096, "64k": 64 << 10, "64K": 64 << 10, "1m": 1 << 20, "16M": 16 << 20, "2g": 2 << 30,
		"9223372036854775807": 1<<63 - 1, "8589934591g": 8589934591 << 30,
	} {
		var got size
		if err := got.UnmarshalText([]byte(in)); err != nil || got != want {
			t.Errorf("%q: got %d, %v", in, got, err)
		}
	}
	for in, want := range map[size]string{0: "0", 1: "1", 1023: "1023", 1024: "1k", 1025: "1025", 3 << 20: "3m", 1 << 40: "1024g", -1 << 10: "-1k"} {
		if got := in.String(); got != want {
			t.Errorf("%d is written %s, not %s", in, got, want)
		}
	}
	for _, in := range []string{"", "k", "-1", "+1", "1.5m", "1kb", "1 k", "1t", "0x10", "9223372036854775808", "8589934592g", "٣"} {
		var got size
		if err := got.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was taken for %d", in, got)
		}
	}
}
