package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

type counts struct {
	Objects                       map[string]int
	Threads, Tasks, Files, Blocks int
	RSSKiB                        int `json:"rss_kib"`
}

// TestTwentyThousandRequestsOfEachKindLeaveNothingBehind sends each kind in three rounds of 1,000, 10,000 and 10,000: what grows by the
// same in both of the long ones leaks; what grows once is a cache. The sanitizers are shown a twentieth of it: what they see, they see at once.
func Test20000RequestsOfEachKindLeaveNothingBehind(t *testing.T) {
	s := start(t, "leaks", options{args: []string{"--threads", "2"}})
	c := s.dial(t)
	kinds := map[string]string{ // the request and a part of its response
		"list": "", "generator": "", "closing": "", "empty": "", "file": "", "bytesio": "", "write": "", "late": "", "replaced": "", "cycle": "",
		"str": "", "fails": "", "bad_header": "", "never": "", "post": strings.Repeat("b\n", 50), "ignores_body": strings.Repeat("b", 100),
	}
	requests := func(kind, body string, n int) {
		// Ten at a time on one connection; one that the server closed (after an error) is replaced.
		for n > 0 {
			batch := min(n, 10)
			var b strings.Builder
			for range batch {
				if body == "" {
					fmt.Fprintf(&b, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", kind)
				} else {
					fmt.Fprintf(&b, "POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body)
				}
			}
			c.send(b.String())
			for range batch {
				r, err := c.tryHead("GET")
				if err != nil {
					c.Close()
					c = s.dial(t)
					break
				}
				r.body()
				n--
				if r.value("Connection") == "close" {
					c.Close()
					c = s.dial(t)
					break
				}
			}
		}
	}
	count := func() (got counts) {
		r := s.dial(t).do("GET", "/counts", "", "Connection: close")
		if err := json.Unmarshal([]byte(r.body()), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	warm, many := 1000, 10_000
	if sanitized {
		warm, many = 50, 500
	}
	for kind, body := range kinds {
		requests(kind, body, warm)
		before := count()
		requests(kind, body, many)
		middle := count()
		requests(kind, body, many)
		after := count()
		for name, n := range after.Objects {
			if grown := n - middle.Objects[name]; grown > 500 && middle.Objects[name]-before.Objects[name] > 500 {
				t.Errorf("%s: %d more objects of type %s after 10,000 requests", kind, grown, name)
			}
		}
		if grown := after.Blocks - middle.Blocks; grown > 5000 && middle.Blocks-before.Blocks > 5000 {
			t.Errorf("%s: %d more blocks of Python memory after 10,000 requests", kind, grown)
		}
		grew := func() bool {
			return after.Threads > before.Threads || after.Tasks > before.Tasks+4 || after.Files > before.Files+3
		}
		if !within(10*time.Second, func() bool { // connections that were closed just now
			if grew() {
				after = count()
			}
			return !grew()
		}) {
			t.Errorf("%s: threads %d to %d, tasks %d to %d, descriptors %d to %d", kind, before.Threads, after.Threads, before.Tasks, after.Tasks, before.Files, after.Files)
		}
		if first, second := middle.RSSKiB-before.RSSKiB, after.RSSKiB-middle.RSSKiB; first > 4096 && second > 4096 && !sanitized {
			t.Errorf("%s: the process grows, by %d KiB and %d KiB in 10,000 requests each", kind, first, second)
		}
	}
}
