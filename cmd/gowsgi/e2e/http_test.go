package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	c := shared(t, "environ").dial(t)
	var b strings.Builder
	for i := range 20 {
		method, body := "GET", ""
		if i%3 == 1 {
			method, body = "POST", strings.Repeat("b", i)
		}
		fmt.Fprintf(&b, "%s /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", method, i, len(body), body)
	}
	c.send(b.String())
	for i := range 20 {
		var env map[string]any
		if err := json.Unmarshal([]byte(c.head("GET").body()), &env); err != nil || env["PATH_INFO"] != fmt.Sprintf("/%d", i) {
			t.Fatalf("response %d is of %v: %v", i, env["PATH_INFO"], err)
		}
	}
}

func TestAPipelinedResponseDoesNotWaitForTheNextRequest(t *testing.T) {
	t.Parallel()
	file, open := gate(t)
	c := shared(t, "blocks").dial(t)
	c.send("GET /fast HTTP/1.1\r\nHost: a\r\n\r\nGET /block?" + file + " HTTP/1.1\r\nHost: a\r\n\r\n")
	if r := c.head("GET"); r.status != 200 || r.body() != "done" { // while the second one blocks
		t.Fatal(r.status)
	}
	open()
	if r := c.head("GET"); r.status != 200 || r.body() != "done" {
		t.Fatal(r.status)
	}
}

func Test100ContinueIsSentWhenTheAppFirstReads(t *testing.T) {
	t.Parallel()
	s := shared(t, "input")
	c := s.dial(t)
	c.send("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if r := c.head("POST"); r.status != 100 || len(r.header) != 0 {
		t.Fatalf("%d %q", r.status, r.header)
	}
	c.send("body")
	if got := c.head("POST").body(); got != `["body", "", ""]` {
		t.Errorf("%q", got)
	}

	c = s.dial(t)
	c.send("POST /ignored HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\n")
	r := c.head("POST")
	if r.status != 200 || r.body() != "[]" {
		t.Fatalf("the app does not read: %d", r.status)
	}
	// The client may send its body or a new request (RFC 9110 section 10.1.1): the server must not guess.
	if r.value("Connection") == "close" {
		c.closed()
	} else {
		c.send("bodyGET /part HTTP/1.1\r\nHost: a\r\n\r\n")
		if r := c.head("GET"); r.status != 200 {
			t.Errorf("then %d", r.status)
		}
	}

	c = s.dial(t) // a body that follows without waiting
	c.send("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody")
	r = c.head("POST")
	if r.status == 100 {
		r = c.head("POST")
	}
	if got := r.body(); got != `["body", "", ""]` {
		t.Errorf("%q", got)
	}

	c = s.dial(t) // HTTP/1.0 knows no 100
	c.send("POST /read HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody")
	if r := c.head("POST"); r.status != 200 || r.body() != `["body", "", ""]` {
		t.Errorf("HTTP/1.0: %d", r.status)
	}

	c = s.dial(t)
	c.send("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: something-else\r\n\r\nbody")
	if r := c.head("POST"); r.status != 417 {
		t.Errorf("another expectation: %d", r.status)
	}
}

func TestHTTP10ClosesUnlessKeepAliveWasAsked(t *testing.T) {
	t.Parallel()
	s := shared(t, "iterables")
	c := s.dial(t)
	c.send("GET /list_of_one HTTP/1.0\r\n\r\n")
	r := c.head("GET")
	if r.status != 200 || r.body() != "one" {
		t.Fatal(r.status)
	}
	c.closed()

	c = s.dial(t)
	for range 3 {
		c.send("GET /list_of_one HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
		r := c.head("GET")
		if r.body() != "one" || !strings.EqualFold(r.value("Connection"), "keep-alive") {
			t.Fatalf("%q", r.header)
		}
	}
	c.send("GET /generator HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	r = c.head("GET")
	if r.framing == "chunked" || r.framing == "close" && strings.EqualFold(r.value("Connection"), "keep-alive") {
		t.Fatalf("an HTTP/1.0 client can't read chunks: %q", r.header)
	}
	if got := r.body(); got != "one,two,three" {
		t.Errorf("%q", got)
	}
}

func TestConnectionCloseIsHonouredInAnyCase(t *testing.T) {
	t.Parallel()
	s := shared(t, "hello")
	for _, value := range []string{"close", "Close", "keep-alive, CLOSE", "x , close"} {
		c := s.dial(t)
		r := c.do("GET", "/", "", "Connection: "+value)
		if r.body() != "hello\n" || !strings.EqualFold(r.value("Connection"), "close") {
			t.Errorf("%q: %q", value, r.header)
		}
		c.closed()
	}
}

func TestAbsoluteAndAsteriskFormTargets(t *testing.T) {
	t.Parallel()
	c := shared(t, "environ").dial(t)
	for raw, want := range map[string][3]string{
		"GET http://other.example/a%20b?q=1 HTTP/1.1\r\nHost: ignored.example\r\n\r\n": {"/a b", "q=1", "other.example"},
		"GET http://other.example HTTP/1.1\r\nHost: other.example\r\n\r\n":             {"/", "", "other.example"},
		"GET http://other.example:81?x HTTP/1.1\r\nHost: other.example:81\r\n\r\n":     {"/", "x", "other.example:81"},
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n":                                        {"*", "", "a"},
	} {
		c.send(raw)
		var env map[string]any
		if err := json.Unmarshal([]byte(c.head("GET").body()), &env); err != nil {
			t.Fatal(err)
		}
		if path := env["PATH_INFO"]; (path != want[0] && !(want[0] == "*" && path == "")) || env["QUERY_STRING"] != want[1] || env["HTTP_HOST"] != want[2] {
			t.Errorf("%q: %v %v %v", raw, env["PATH_INFO"], env["QUERY_STRING"], env["HTTP_HOST"])
		}
	}
}

func TestAmbiguousRequestsAreRefusedAndTheConnectionClosed(t *testing.T) {
	t.Parallel()
	s := shared(t, "hello")
	const host = "Host: a\r\n"
	post := func(headers, body string) string { return "POST / HTTP/1.1\r\n" + host + headers + "\r\n" + body }
	for name, row := range map[string]struct {
		status int
		raw    string
	}{
		"length and chunked":            {400, post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
		"chunked and length":            {400, post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n")},
		"two lengths":                   {400, post("Content-Length: 4\r\nContent-Length: 5\r\n", "body5")},
		"a list of lengths":             {400, post("Content-Length: 4, 5\r\n", "body5")},
		"length with a sign":            {400, post("Content-Length: +4\r\n", "body")},
		"length with a space":           {400, post("Content-Length: 4 4\r\n", "body")},
		"length in hex":                 {400, post("Content-Length: 0x4\r\n", "body")},
		"empty length":                  {400, post("Content-Length: \r\n", "")},
		"overlong length":               {400, post("Content-Length: 99999999999999999999999\r\n", "")},
		"coding identity":               {400, post("Transfer-Encoding: identity\r\n", "")},
		"coding gzip, chunked":          {400, post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
		"coding chunked twice":          {400, post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")},
		"two codings":                   {400, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
		"coding xchunked":               {400, post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")},
		"coding chunked, HTTP/1.0":      {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		"space before the colon":        {400, post("Content-Length : 4\r\n", "body")},
		"a folded header":               {400, post("X-A: b\r\n c\r\n", "")},
		"a first header that is folded": {400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
		"a bare LF in the head":         {400, "GET / HTTP/1.1\nHost: a\n\n"},
		"a bare LF after a header":      {400, "GET / HTTP/1.1\r\nHost: a\nX-B: c\r\n\r\n"},
		"a bare CR in a value":          {400, post("X-A: b\rc\r\n", "")},
		"NUL in a value":                {400, post("X-A: b\x00c\r\n", "")},
		"a control in a value":          {400, post("X-A: b\x01c\r\n", "")},
		"NUL in the target":             {400, "GET /\x00 HTTP/1.1\r\n" + host + "\r\n"},
		"a byte over 0x7f in a name":    {400, post("X-\xe9: b\r\n", "")},
		"an empty name":                 {400, post(": b\r\n", "")},
		"no colon":                      {400, post("nothing\r\n", "")},
		"no Host":                       {400, "GET / HTTP/1.1\r\n\r\n"},
		"two Hosts":                     {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
		"a malformed Host":              {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
		"a Host with a path":            {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
		"a bad percent escape":          {400, "GET /%zz HTTP/1.1\r\n" + host + "\r\n"},
		"a cut percent escape":          {400, "GET /% HTTP/1.1\r\n" + host + "\r\n"},
		"a raw space in the target":     {400, "GET /a b HTTP/1.1\r\n" + host + "\r\n"},
		"two spaces":                    {400, "GET  / HTTP/1.1\r\n" + host + "\r\n"},
		"no version":                    {400, "GET /\r\n" + host + "\r\n"},
		"HTTP/2.0":                      {505, "GET / HTTP/2.0\r\n" + host + "\r\n"},
		"HTTP/1.9":                      {505, "GET / HTTP/1.9\r\n" + host + "\r\n"},
		"http in small letters":         {400, "GET / http/1.1\r\n" + host + "\r\n"},
		"a bad method":                  {400, "G(T / HTTP/1.1\r\n" + host + "\r\n"},
		"a bad chunk size":              {400, post("Transfer-Encoding: chunked\r\n", "zz\r\nbody\r\n0\r\n\r\n")},
		"a negative chunk size":         {400, post("Transfer-Encoding: chunked\r\n", "-4\r\nbody\r\n0\r\n\r\n")},
		"a chunk size in 0x":            {400, post("Transfer-Encoding: chunked\r\n", "0x4\r\nbody\r\n0\r\n\r\n")},
		"an overlong chunk size":        {400, post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nbody\r\n0\r\n\r\n")},
		"a chunk without its end":       {400, post("Transfer-Encoding: chunked\r\n", "4\r\nbodyX\r\n0\r\n\r\n")},
		"a chunk size ended by LF":      {400, post("Transfer-Encoding: chunked\r\n", "4\nbody\r\n0\r\n\r\n")},
		"a space after a chunk size":    {400, post("Transfer-Encoding: chunked\r\n", "4 \r\nbody\r\n0\r\n\r\n")},
		"a request line over 16 KiB":    {414, "GET /" + strings.Repeat("a", 17<<10) + " HTTP/1.1\r\n" + host + "\r\n"},
		"headers over 64 KiB":           {431, post(strings.Repeat("X-Fill: "+strings.Repeat("f", 1000)+"\r\n", 70), "")},
		"one header over 64 KiB":        {431, post("X-Fill: "+strings.Repeat("f", 70<<10)+"\r\n", "")},
	} {
		c := s.dial(t)
		go func() { // a server that answers early may stop reading
			_, _ = io.WriteString(c.Conn, row.raw+"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
		}()
		r, err := c.tryHead("POST")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r.body()
		if r.status != row.status {
			t.Errorf("%s: %d, expected %d", name, r.status, row.status)
		}
		c.closed()
	}
}

func TestHeadersJustUnderTheLimitsAreServed(t *testing.T) {
	t.Parallel()
	c := shared(t, "hello").dial(t)
	for _, raw := range []string{
		"GET /" + strings.Repeat("a", 15<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-Fill: "+strings.Repeat("f", 1000)+"\r\n", 60) + "\r\n",
	} {
		c.send(raw)
		if r := c.head("GET"); r.status != 200 || r.body() != "hello\n" {
			t.Errorf("%.20q: %d", raw, r.status)
		}
	}
}

func TestAnUnreadBodyIsNeverParsedAsARequest(t *testing.T) {
	t.Parallel()
	s := shared(t, "input")
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, padding := range []int{0, 4096, 8192, 65536, 1 << 20} {
		body := strings.Repeat("p", padding) + smuggled
		for _, framing := range []string{"Content-Length", "chunked"} {
			for _, target := range []string{"/ignored", "/part?10", "/boom"} {
				for _, slow := range []bool{false, true} {
					name := fmt.Sprintf("padding %d, %s, %s, slow %v", padding, framing, target, slow)
					head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", target, len(body))
					payload := body
					if framing == "chunked" {
						head = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", target)
						payload = chunked(body, 4096)
					}
					c := s.dial(t)
					_ = c.SetDeadline(time.Now().Add(20 * time.Second))
					sent := make(chan struct{})
					go func() { // a server that closes early ends this
						defer close(sent)
						if !slow {
							_, _ = io.WriteString(c.Conn, head+payload)
						} else {
							_, _ = io.WriteString(c.Conn, head)
							for i := 0; i < len(payload); i += max(1, len(payload)/6) {
								time.Sleep(3 * time.Millisecond) // a slow client, not a wait for a state
								if _, err := io.WriteString(c.Conn, payload[i:min(len(payload), i+max(1, len(payload)/6))]); err != nil {
									return
								}
							}
						}
						_, _ = io.WriteString(c.Conn, "GET /part HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Last: 1\r\n\r\n")
					}()
					want := 200
					if target == "/boom" {
						want = 500
					}
					r, err := c.tryHead("POST")
					if err != nil || r.status != want {
						t.Errorf("%s: %v", name, err)
						continue
					}
					r.body()
					// Then the real next request is answered and nothing else, or the connection is closed.
					if r, err := c.tryHead("GET"); err == nil {
						if body := r.body(); r.status != 200 || body != `[""]` {
							t.Errorf("%s: then %d %q", name, r.status, body)
						}
						c.closed()
					}
					<-sent
					c.Close()
				}
			}
		}
	}
	if n := s.countLog("LookupError: smuggled"); n != 0 {
		t.Errorf("%d smuggled requests reached the app", n)
	}
}

func TestUnixSocketsAreServed(t *testing.T) {
	t.Parallel()
	s := start(t, "environ", options{unix: true})
	c := s.dial(t)
	for range 3 {
		var env map[string]any
		if err := json.Unmarshal([]byte(c.do("GET", "/a", "").body()), &env); err != nil || env["PATH_INFO"] != "/a" {
			t.Fatal(env, err)
		}
		if _, ok := env["SERVER_NAME"].(string); !ok {
			t.Error("no SERVER_NAME")
		}
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	t.Parallel()
	s := shared(t, "hello")
	var clients []*client
	for range 300 {
		clients = append(clients, s.dial(t))
	}
	for range 3 {
		for _, c := range clients {
			c.request("GET", "/", "")
		}
		for _, c := range clients {
			if r := c.head("GET"); r.status != 200 || r.body() != "hello\n" {
				t.Fatal(r.status)
			}
		}
	}
}

func TestABodyOverTheLimitIs413AndTheAppIsNotCalled(t *testing.T) {
	t.Parallel()
	s := start(t, "upload", options{args: []string{"--limit-request-body", "100k"}})
	for _, raw := range []string{
		fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 100<<10+1),
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(strings.Repeat("x", 100<<10+1), 4096),
		fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", 100<<10+1),
	} {
		c := s.dial(t)
		c.send(raw)
		if r := c.head("POST"); r.status != 413 {
			t.Errorf("%.60q: %d", raw, r.status)
		} else {
			r.body()
			c.closed()
		}
	}
	body := strings.Repeat("x", 100<<10)
	for _, f := range framings[:2] {
		c := s.dial(t)
		f.send(c, "/", body)
		if got := c.head("POST").body(); got != uploadReply(body) {
			t.Errorf("%s: %s", f.name, got)
		}
	}
}
