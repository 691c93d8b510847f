package main

import (
	"bufio"
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"golang.org/x/sys/unix"
)

// Under systemd standard output is a socket of the journal, which all workers share.
func TestLinesOfSeveralWorkersInOneSocketAreWhole(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	reader := os.NewFile(uintptr(fds[0]), "journal")
	defer reader.Close()
	const writers, size = 4, 16 << 20
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			var o accesslog.Options
			w := toKind(descriptor(fds[1]), isPipe(fds[1]), &o)
			line := strings.Repeat(string(rune('a'+i)), 199) + "\n"
			batch := []byte(strings.Repeat(line, 1<<20/len(line)))
			for n := 0; n < size; n += len(batch) {
				if _, err := w.Write(batch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() {
		all.Wait()
		_ = unix.Close(fds[1])
	}()
	torn, lines := 0, bufio.NewScanner(reader)
	for lines.Scan() {
		if l := lines.Bytes(); len(l) != 199 || bytes.Count(l, l[:1]) != len(l) {
			torn++
		}
	}
	if torn > 0 || lines.Err() != nil {
		t.Errorf("%d torn lines, %v", torn, lines.Err())
	}
}
