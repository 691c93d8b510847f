package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// eventually polls until ok, for a state that nothing announces.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !within(60*time.Second, ok) {
		t.Fatalf("not within 60 s: %s", what)
	}
}

func within(d time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(d); ; time.Sleep(5 * time.Millisecond) {
		if ok() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// sessionProcesses lists the live processes of a session as "pid command".
func sessionProcesses(session int) (out []string) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// pid (command) state ppid pgrp session; the command may hold spaces and parentheses.
		head, tail, _ := strings.Cut(string(b), "(")
		i := strings.LastIndex(tail, ")")
		fields := strings.Fields(tail[i+1:])
		if len(fields) > 3 && fields[3] == strconv.Itoa(session) && fields[0] != "Z" {
			out = append(out, strings.TrimSpace(head)+" "+tail[:i])
		}
	}
	return out
}

// rssKiB is the resident size, without the pages of files that the kernel can drop.
func rssKiB(t testing.TB, pid int) int64 {
	t.Helper()
	return statusKiB(t, pid, "VmRSS")
}

func statusKiB(t testing.TB, pid int, field string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in /proc/%d/status", field, pid)
	return 0
}

// sanitized: the binary under test runs under AddressSanitizer, which keeps freed memory for a while.
var sanitized = os.Getenv("ASAN_OPTIONS") != ""

// peakAboveKiB calls work and returns how far the resident size rose above what it was before, sampled every 10 ms.
func peakAboveKiB(t testing.TB, pid int, work func()) int64 {
	t.Helper()
	before := rssKiB(t, pid)
	peak, done, sampled := before, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		for {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
				if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid)); err == nil {
					if f := strings.Fields(string(b)); len(f) > 1 {
						n, _ := strconv.ParseInt(f[1], 10, 64)
						peak = max(peak, n*int64(os.Getpagesize())/1024)
					}
				}
			}
		}
	}()
	work()
	close(done)
	<-sampled
	return peak - before
}

// openFiles counts the descriptors of a process.
func openFiles(t testing.TB, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// softNofile is the soft limit of open files that processes started by this one find. os/exec puts back what the Go runtime raised.
func softNofile(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", "ulimit -Sn").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// ignoredSignals are those that processes started by this one find ignored (nohup), as in /proc/PID/status.
func ignoredSignals(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("sed", "-n", "s/^SigIgn:[[:space:]]*//p", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
