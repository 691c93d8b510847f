package main

import "testing"

func TestNoConnectionsMeansNoLimit(t *testing.T) {
	for text, want := range map[string]int{"0": -1, "5": 5} {
		var f limitFlags
		if err := f.MaxConnections.UnmarshalText([]byte(text)); err != nil || f.settings().Connections != want {
			t.Errorf("%s: %d, %v, want %d", text, f.settings().Connections, err, want)
		}
	}
	if n := (&limitFlags{}).settings().Connections; n != 0 {
		t.Errorf("without the flag: %d", n)
	}
}
