package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"
)

// limitsInterval is how often a worker compares itself with its limits.
const limitsInterval = 200 * time.Millisecond

// jitter adds up to a tenth, so that workers which started together don't end together.
func jitter[T int64 | time.Duration](limit T) T {
	if limit <= 0 {
		return 0
	}
	return limit + T(rand.Int64N(int64(limit)/10+1))
}

// watchLimits asks the master for a successor when the worker has served its time.
func (w *worker) watchLimits() {
	requests, age, rss := jitter(w.s.MaxRequests), jitter(w.s.MaxAge), w.s.MaxRSS
	if requests == 0 && age == 0 && rss == 0 {
		return
	}
	started := time.Now()
	for range time.Tick(limitsInterval) {
		why := ""
		if n := w.server.Requests(); requests > 0 && n >= requests {
			why = fmt.Sprintf("it has served %d requests", n)
		} else if age > 0 && time.Since(started) > age {
			why = fmt.Sprintf("it is %v old", time.Since(started).Round(time.Second))
		} else if n := residentSize(); rss > 0 && n > rss {
			why = fmt.Sprintf("it uses %d MiB of memory, and may use %d", n>>20, rss>>20)
		}
		if why != "" {
			w.askForSuccessor(why)
			return
		}
	}
}

// residentSize is how much memory this process uses, in bytes, as the kernel counts it (RSS); 0 where it does not tell.
func residentSize() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
