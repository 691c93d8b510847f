package main

import (
	"bufio"
	"bytes"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/pyhost"
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
	writer := os.NewFile(uintptr(fds[1]), "journal")
	const writers, size = 4, 16 << 20
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			var o accesslog.Options
			w := toKind(descriptor(fds[1]), isPipe(writer.Stat()), &o)
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
		_ = writer.Close()
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

func TestALineForSyslogOverUDPFitsIntoWhatReceiversTake(t *testing.T) {
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	log, err := openAccessLog(&workerSettings{AccessLog: "syslog:" + receiver.LocalAddr().String(), AccessLogFormat: "json"}, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	log.Add(&accesslog.Entry{Status: 200, Environ: pyhost.AppendPair(nil, "HTTP_USER_AGENT", strings.Repeat("a", 30_000))})
	log.end(slog.Default())
	_ = receiver.SetReadDeadline(time.Now().Add(10 * time.Second))
	p := make([]byte, 1<<16)
	n, _, err := receiver.ReadFrom(p)
	if err != nil || n > 2048 || !bytes.Contains(p[:n], []byte(`"user_agent":"aaa`)) || !bytes.HasSuffix(bytes.TrimSpace(p[:n]), []byte("}")) {
		t.Errorf("%d bytes, %v: %s", n, err, p[:n])
	}
}
