package main

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

func TestAnAddressThatIsLetGoOfAMomentLaterIsBound(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "s.sock")
		}
		before, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		if ln, ok := before.(*net.UnixListener); ok {
			ln.SetUnlinkOnClose(false) // as a worker, whose master was killed
		}
		time.AfterFunc(100*time.Millisecond, func() { before.Close() })
		ln, err := at(network, before.Addr().String()).listen()
		if err != nil {
			t.Errorf("%s: %v", network, err)
			continue
		}
		ln.Close()
	}
}
