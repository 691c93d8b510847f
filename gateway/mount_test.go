package gateway

import (
	"fmt"
	"testing"
)

func TestTheLongestPrefixWinsAndAPrefixEndsAtASlash(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		r.Reply("200 OK", nil, fmt.Sprintf("%d %q %q", r.App, r.Environ["SCRIPT_NAME"], r.Environ["PATH_INFO"]))
	}, func(s *Server) {
		s.Mounts = []Mount{{Prefix: "", App: 0}, {Prefix: "/api", App: 1}, {Prefix: "/api/v2/", App: 2}, {Prefix: "flask", App: 3}}
	})
	c := ts.dial()
	for path, want := range map[string]string{
		"/":             `0 "" "/"`,
		"/api":          `1 "/api" ""`,
		"/api/":         `1 "/api" "/"`,
		"/api/x":        `1 "/api" "/x"`,
		"/apiary":       `0 "" "/apiary"`,
		"/api/v2":       `2 "/api/v2" ""`,
		"/api/v2/a%2Fb": `2 "/api/v2" "/a/b"`,
		"/api/v22":      `1 "/api" "/v22"`,
		"/%61pi%2Fx":    `1 "/api" "/x"`,
		"/flask//":      `3 "/flask" "//"`,
		"//api":         `0 "" "//api"`,
		"/x/../api":     `0 "" "/x/../api"`,
	} {
		if _, body := c.get(path); body != want {
			t.Errorf("%s: %s, want %s", path, body, want)
		}
	}
}

func TestAPathOfNoMountIs404(t *testing.T) {
	ts := serve(t, hello, func(s *Server) { s.Mounts = []Mount{{Prefix: "/api", App: 1}} })
	c := ts.dial()
	c.get("/api")
	c.send("POST /other HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
	c.want(404, "404 Not Found\n")
	c.get("/api")
	c.send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want(404, "404 Not Found\n")
	c.send("POST /other HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nhello")
	c.want(404, "404 Not Found\n")
	c.wantClosed()
}
