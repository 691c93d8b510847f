package gateway

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gowsgi/gowsgi/pyhost"
)

func trusted(t testing.TB, texts ...string) (all []TrustedProxy) {
	t.Helper()
	for _, text := range texts {
		p, err := ParseTrustedProxy(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// environAt is the environ of a request with these header lines, on a connection from peer ("" for a unix socket).
func environAt(t testing.TB, s *Server, peer, prefix string, lines ...string) map[string]string {
	t.Helper()
	var local, remote net.Addr
	if peer != "" {
		local, remote = &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 8000}, &net.TCPAddr{IP: net.ParseIP(peer), Port: 5000}
	}
	e := endpointsOf(local, remote, "http")
	e.headerPolicy, e.proxies = s.HeaderPolicy, newProxies(s.TrustedProxies, s.ForwardedHeaders).ofPeer(e.remoteAddr, peer == "")
	var q request
	if status := q.parse([]byte("GET " + prefix + "/x HTTP/1.1\r\nHost: inner\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n")); status != 0 {
		t.Fatalf("%q: %d", lines, status)
	}
	rec := appendEnviron(nil, &q, []byte(prefix+"/x"), &Mount{Prefix: prefix}, e.appendPairs(nil), &e, 0)
	env := map[string]string{}
	for {
		name, value, rest, ok := pyhost.NextPair(rec)
		if !ok {
			return env
		}
		if _, twice := env[string(name)]; twice {
			t.Fatalf("%q: %s is there twice", lines, name)
		}
		env[string(name)], rec = string(value), rest
	}
}

// wantPairs compares some pairs of an environ: "NAME=value", or "NAME" for one that must not be there.
func wantPairs(t *testing.T, env map[string]string, want ...string) {
	t.Helper()
	for _, w := range want {
		name, value, valued := strings.Cut(w, "=")
		if got, there := env[name]; there != valued || got != value {
			t.Errorf("%s is %q (there: %v), expected %q (there: %v)", name, got, there, value, valued)
		}
	}
}

func TestXForwardedForIsReadFromTheRightThroughTrustedHops(t *testing.T) {
	s := &Server{TrustedProxies: trusted(t, "10.0.0.0/8", "fd00::/8")}
	const peer = "10.0.0.2"
	many := strings.TrimSuffix(strings.Repeat("10.1.1.1, ", 1000), ", ")
	for _, c := range []struct {
		name       string
		want, port string // port "": none
		lines      []string
		others     []string
	}{
		{name: "none", want: peer, port: "5000"},
		{name: "one hop", want: "192.0.2.1", lines: []string{"192.0.2.1"}},
		{name: "a spoofed leftmost value", want: "192.0.2.1", lines: []string{"127.0.0.1, 192.0.2.1"}},
		{name: "a spoofed trusted value", want: "192.0.2.1", lines: []string{"8.8.8.8, 10.0.0.9, 192.0.2.1"}},
		{name: "two trusted hops", want: "192.0.2.1", lines: []string{"8.8.8.8, 192.0.2.1, 10.0.0.9, 10.0.0.8"}},
		{name: "all trusted", want: "10.3.0.0", lines: []string{"10.3.0.0, 10.0.0.9"}},
		{name: "1,000 hops", want: "192.0.2.1", lines: []string{"6.6.6.6," + "192.0.2.1, " + many}},
		{name: "unknown", want: peer, port: "5000", lines: []string{"192.0.2.1, unknown"}},
		{name: "a hidden name behind a hop", want: "10.0.0.9", lines: []string{"192.0.2.1, _hidden, 10.0.0.9"}},
		{name: "a malformed address", want: "10.0.0.9", lines: []string{"192.0.2.1, 192.0.2.300, 10.0.0.9"}},
		{name: "an octal address", want: peer, port: "5000", lines: []string{"192.0.02.1"}},
		{name: "a short address", want: peer, port: "5000", lines: []string{"127.1"}},
		{name: "a decimal address", want: peer, port: "5000", lines: []string{"2130706433"}},
		{name: "a name", want: peer, port: "5000", lines: []string{"localhost"}},
		{name: "an empty element", want: "10.0.0.9", lines: []string{"192.0.2.1, , 10.0.0.9"}},
		{name: "an empty last element", want: peer, port: "5000", lines: []string{"192.0.2.1,"}},
		{name: "an empty field", want: peer, port: "5000", lines: []string{""}},
		{name: "commas alone", want: peer, port: "5000", lines: []string{",,,,"}},
		{name: "two header lines", want: "192.0.2.1", lines: []string{"6.6.6.6, 192.0.2.1", "10.0.0.9"}},
		{name: "two header lines of a spoofer", want: "192.0.2.1", lines: []string{"127.0.0.1", "192.0.2.1"}},
		{name: "a line that is empty after others", want: peer, port: "5000", lines: []string{"192.0.2.1", ""}},
		{name: "IPv4 with a port", want: "192.0.2.1", port: "47011", lines: []string{"192.0.2.1:47011"}},
		{name: "a trusted hop with a port", want: "192.0.2.1", lines: []string{"192.0.2.1, 10.0.0.9:443"}},
		{name: "a port over 65535", want: peer, port: "5000", lines: []string{"192.0.2.1:65536"}},
		{name: "an empty port", want: peer, port: "5000", lines: []string{"192.0.2.1:"}},
		{name: "a signed port", want: peer, port: "5000", lines: []string{"192.0.2.1:+80"}},
		{name: "IPv6", want: "2001:db8::1", lines: []string{"2001:DB8:0::1"}},
		{name: "IPv6 in brackets", want: "2001:db8::1", lines: []string{"[2001:db8::1]"}},
		{name: "IPv6 with a port", want: "2001:db8::1", port: "80", lines: []string{"[2001:db8::1]:80"}},
		{name: "IPv4 in brackets", want: peer, port: "5000", lines: []string{"[192.0.2.1]"}},
		{name: "an open bracket", want: peer, port: "5000", lines: []string{"[2001:db8::1"}},
		{name: "a trusted IPv6 hop", want: "2001:db8::1", lines: []string{"2001:db8::1, fd00::7"}},
		{name: "IPv4-mapped IPv6 is the IPv4 address", want: "192.0.2.1", lines: []string{"192.0.2.1, ::ffff:10.0.0.9"}},
		{name: "IPv4-mapped client", want: "192.0.2.1", lines: []string{"::ffff:192.0.2.1"}},
		{name: "a zone", want: peer, port: "5000", lines: []string{"fe80::1%eth0"}},
		{name: "a trusted address with a zone", want: peer, port: "5000", lines: []string{"192.0.2.1, fd00::1%1"}},
		{name: "quoted", want: peer, port: "5000", lines: []string{`"192.0.2.1"`}},
		{name: "two addresses without a comma", want: peer, port: "5000", lines: []string{"192.0.2.1 192.0.2.2"}},
		{name: "underscored names are not of the list", want: "192.0.2.1", lines: []string{"192.0.2.1"}, others: []string{"X_Forwarded_For: 6.6.6.6", "X-Forwarded_For: 6.6.6.6"}},
		{name: "white space", want: "192.0.2.1", lines: []string{"\t192.0.2.1\t ,\t10.0.0.9 "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := c.others
			for _, l := range c.lines {
				lines = append(lines, "x-forwarded-FOR: "+l)
			}
			env := environAt(t, s, peer, "", lines...)
			port := "REMOTE_PORT"
			if c.port != "" {
				port += "=" + c.port
			}
			wantPairs(t, env, "REMOTE_ADDR="+c.want, port, "wsgi.url_scheme=http", "HTTPS", "HTTP_HOST=inner", "SERVER_NAME=10.0.0.1", "SERVER_PORT=8000")
		})
	}
}

func TestForwardedIsReadFromTheRightThroughTrustedHops(t *testing.T) {
	s := &Server{TrustedProxies: trusted(t, "10.0.0.0/8"), ForwardedHeaders: Forwarded}
	const peer = "10.0.0.2"
	untouched := []string{"REMOTE_ADDR=" + peer, "REMOTE_PORT=5000", "wsgi.url_scheme=http", "HTTP_HOST=inner"}
	for _, c := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"none", nil, untouched},
		{"all parameters", []string{`for="192.0.2.43:47011";by=203.0.113.60;proto=https;host="example.org:8443"`},
			[]string{"REMOTE_ADDR=192.0.2.43", "REMOTE_PORT=47011", "wsgi.url_scheme=https", "HTTPS=on", "HTTP_HOST=example.org:8443", "SERVER_NAME=example.org", "SERVER_PORT=8443"}},
		{"any case", []string{`FOR=192.0.2.43;Proto=HTTPS`}, []string{"REMOTE_ADDR=192.0.2.43", "wsgi.url_scheme=https"}},
		{"IPv6 with a port", []string{`for="[2001:db8:cafe::17]:4711"`}, []string{"REMOTE_ADDR=2001:db8:cafe::17", "REMOTE_PORT=4711"}},
		{"IPv6 without a port", []string{`for="[2001:db8:cafe::17]"`}, []string{"REMOTE_ADDR=2001:db8:cafe::17", "REMOTE_PORT"}},
		{"IPv6 that is not quoted", []string{`for=[2001:db8::1]`}, untouched},
		{"IPv6 without brackets", []string{`for="2001:db8::1"`}, untouched},
		{"a port that is not quoted", []string{`for=192.0.2.1:80`}, untouched},
		{"an obfuscated port", []string{`for="192.0.2.1:_x"`}, []string{"REMOTE_ADDR=192.0.2.1", "REMOTE_PORT"}},
		{"a zone", []string{`for="[fe80::1%eth0]"`}, untouched},
		{"a spoofed leftmost element", []string{`for=127.0.0.1;proto=https;host=evil.example, for=192.0.2.1`},
			[]string{"REMOTE_ADDR=192.0.2.1", "wsgi.url_scheme=http", "HTTP_HOST=inner"}},
		{"two hops: the outer one's words hold", []string{`for=6.6.6.6, for=192.0.2.1;proto=https;host=a.example, for=10.0.0.9;proto=http;host=b.internal`},
			[]string{"REMOTE_ADDR=192.0.2.1", "wsgi.url_scheme=https", "HTTP_HOST=a.example"}},
		{"two hops: what the outer one does not tell", []string{`for=192.0.2.1, for=10.0.0.9;proto=https;host=b.example`},
			[]string{"REMOTE_ADDR=192.0.2.1", "wsgi.url_scheme=https", "HTTP_HOST=b.example"}},
		{"two header lines", []string{`for=192.0.2.1`, `for=10.0.0.9`}, []string{"REMOTE_ADDR=192.0.2.1"}},
		{"unknown", []string{`for=192.0.2.1, for=unknown;proto=https`}, []string{"REMOTE_ADDR=" + peer, "wsgi.url_scheme=https"}},
		{"an obfuscated name", []string{`for=192.0.2.1, for="_gazonk:80", for=10.0.0.9`}, []string{"REMOTE_ADDR=10.0.0.9", "REMOTE_PORT"}},
		{"no for", []string{`for=192.0.2.1, proto=https`}, []string{"REMOTE_ADDR=" + peer, "wsgi.url_scheme=https"}},
		{"a comma in quotes", []string{`for=6.6.6.6, for=192.0.2.1;x="a, for=127.0.0.1"`}, []string{"REMOTE_ADDR=192.0.2.1"}},
		{"an escaped quotation mark", []string{`for=6.6.6.6, for=192.0.2.1;x="a\", for=127.0.0.1, \\"`}, []string{"REMOTE_ADDR=192.0.2.1"}},
		{"a quotation mark that a client left open", []string{`for="6.6.6.6, for=192.0.2.1`}, []string{"REMOTE_ADDR=192.0.2.1"}},
		{"one with a quoted address after it", []string{`for="6.6.6.6, for="[2001:db8::1]";proto=https`}, []string{"REMOTE_ADDR=2001:db8::1", "wsgi.url_scheme=https"}},
		{"one behind a trusted hop", []string{`x="\, for=10.0.0.9`}, []string{"REMOTE_ADDR=10.0.0.9"}},
		{"a quotation mark open at the end", []string{`for=192.0.2.1;host="a`}, untouched},
		{"a parameter twice", []string{`for=192.0.2.1;for=192.0.2.2`}, untouched},
		{"white space in an element", []string{`for=192.0.2.1; proto=https`}, untouched},
		{"white space round the equals sign", []string{`for = 192.0.2.1`}, untouched},
		{"no value", []string{`for=`}, untouched},
		{"an empty value", []string{`for=""`}, untouched},
		{"no equals sign", []string{`192.0.2.1`}, untouched},
		{"a semicolon too many", []string{`;for=192.0.2.1;;proto=https;`}, []string{"REMOTE_ADDR=192.0.2.1", "wsgi.url_scheme=https"}},
		{"something after a quoted string", []string{`for="192.0.2.1"x`}, untouched},
		{"an empty element", []string{`for=192.0.2.1, ,`}, untouched},
		{"another scheme", []string{`for=192.0.2.1;proto=ftp`}, []string{"REMOTE_ADDR=192.0.2.1", "wsgi.url_scheme=http"}},
		{"a host that is none", []string{`for=192.0.2.1;host="a/b"`}, []string{"REMOTE_ADDR=192.0.2.1", "HTTP_HOST=inner"}},
		{"a host with an escape", []string{`host="ex\ample.org"`}, []string{"HTTP_HOST=example.org"}},
		{"IPv4-mapped", []string{`for=192.0.2.1, for="[::ffff:10.0.0.9]"`}, []string{"REMOTE_ADDR=192.0.2.1"}},
		{"1,000 hops", []string{`for=192.0.2.1` + strings.Repeat(", for=10.0.0.9", 1000)}, []string{"REMOTE_ADDR=192.0.2.1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Forwarded-Prefix: /evil"}
			for _, l := range c.lines {
				lines = append(lines, "Forwarded: "+l)
			}
			env := environAt(t, s, peer, "", lines...)
			wantPairs(t, env, append(c.want, "SCRIPT_NAME=", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PREFIX")...)
		})
	}
}

func TestTheURLIsAsTheClientOfTheTrustedProxiesSeesIt(t *testing.T) {
	s := &Server{TrustedProxies: trusted(t, "10.0.0.0/8")}
	for _, c := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"proto", []string{"X-Forwarded-Proto: https"},
			[]string{"wsgi.url_scheme=https", "HTTPS=on", "HTTP_HOST=inner", "SERVER_NAME=inner", "SERVER_PORT=443", "HTTP_X_FORWARDED_PROTO=https"}},
		{"proto in any case", []string{"X-Forwarded-Proto: HTTPS"}, []string{"wsgi.url_scheme=https"}},
		{"http", []string{"X-Forwarded-Proto: http"}, []string{"wsgi.url_scheme=http", "HTTPS", "SERVER_PORT=80"}},
		{"another proto", []string{"X-Forwarded-Proto: javascript"}, []string{"wsgi.url_scheme=http", "HTTPS", "SERVER_PORT=8000"}},
		{"an empty proto", []string{"X-Forwarded-Proto: "}, []string{"wsgi.url_scheme=http", "SERVER_PORT=8000"}},
		{"a spoofed leftmost proto", []string{"X-Forwarded-For: 127.0.0.1, 192.0.2.1", "X-Forwarded-Proto: https, http"},
			[]string{"REMOTE_ADDR=192.0.2.1", "wsgi.url_scheme=http"}},
		{"without X-Forwarded-For the last proto", []string{"X-Forwarded-Proto: https, http"}, []string{"wsgi.url_scheme=http"}},
		{"through two hops the outer one's", []string{"X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.9", "X-Forwarded-Proto: http, https, http"},
			[]string{"REMOTE_ADDR=192.0.2.1", "wsgi.url_scheme=https"}},
		{"a list that is shorter than the hops", []string{"X-Forwarded-For: 192.0.2.1, 10.0.0.9", "X-Forwarded-Proto: https"}, []string{"wsgi.url_scheme=https"}},
		{"two lines", []string{"X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, []string{"wsgi.url_scheme=http"}},

		{"host", []string{"X-Forwarded-Host: example.org"}, []string{"HTTP_HOST=example.org", "SERVER_NAME=example.org", "SERVER_PORT=80"}},
		{"host with a port", []string{"X-Forwarded-Host: example.org:8443", "X-Forwarded-Proto: https"}, []string{"HTTP_HOST=example.org:8443", "SERVER_NAME=example.org", "SERVER_PORT=8443"}},
		{"an IPv6 host", []string{"X-Forwarded-Host: [::1]:81"}, []string{"HTTP_HOST=[::1]:81", "SERVER_NAME=[::1]", "SERVER_PORT=81"}},
		{"a spoofed leftmost host", []string{"X-Forwarded-Host: evil.example, example.org"}, []string{"HTTP_HOST=example.org"}},
		{"a malformed host", []string{"X-Forwarded-Host: evil.example/x"}, []string{"HTTP_HOST=inner", "SERVER_PORT=8000"}},
		{"a host with a user", []string{"X-Forwarded-Host: user@evil.example"}, []string{"HTTP_HOST=inner"}},
		{"an empty host", []string{"X-Forwarded-Host: "}, []string{"HTTP_HOST=inner"}},

		{"port", []string{"X-Forwarded-Port: 8443", "X-Forwarded-Proto: https"}, []string{"HTTP_HOST=inner:8443", "SERVER_NAME=inner", "SERVER_PORT=8443"}},
		{"the scheme's own port", []string{"X-Forwarded-Port: 443", "X-Forwarded-Proto: https"}, []string{"HTTP_HOST=inner", "SERVER_PORT=443"}},
		{"a port beside the host's", []string{"X-Forwarded-Port: 443", "X-Forwarded-Host: example.org:8443"}, []string{"HTTP_HOST=example.org:8443", "SERVER_PORT=443"}},
		{"a port after an empty one", []string{"X-Forwarded-Port: 444", "X-Forwarded-Host: example.org:"}, []string{"HTTP_HOST=example.org:444", "SERVER_PORT=444"}},
		{"a malformed port", []string{"X-Forwarded-Port: 80x"}, []string{"HTTP_HOST=inner", "SERVER_PORT=8000"}},
		{"no port", []string{"X-Forwarded-Port: 0"}, []string{"SERVER_PORT=8000"}},

		{"prefix", []string{"X-Forwarded-Prefix: /app"}, []string{"SCRIPT_NAME=/app/api", "PATH_INFO=/x"}},
		{"prefix with a slash at its end", []string{"X-Forwarded-Prefix: /app/"}, []string{"SCRIPT_NAME=/app/api"}},
		{"a slash alone", []string{"X-Forwarded-Prefix: /"}, []string{"SCRIPT_NAME=/api"}},
		{"a decoded prefix", []string{"X-Forwarded-Prefix: /caf%C3%A9"}, []string{"SCRIPT_NAME=/caf\xc3\xa9/api"}},
		{"a prefix without a slash", []string{"X-Forwarded-Prefix: app"}, []string{"SCRIPT_NAME=/api"}},
		{"a prefix to another host", []string{"X-Forwarded-Prefix: //evil.example"}, []string{"SCRIPT_NAME=/api"}},
		{"an encoded one", []string{"X-Forwarded-Prefix: /%2fevil.example"}, []string{"SCRIPT_NAME=/api"}},
		{"one with a backslash", []string{`X-Forwarded-Prefix: /\evil.example`}, []string{"SCRIPT_NAME=/api"}},
		{"one with dots", []string{"X-Forwarded-Prefix: /a/../b"}, []string{"SCRIPT_NAME=/api"}},
		{"one with a query", []string{"X-Forwarded-Prefix: /a?b"}, []string{"SCRIPT_NAME=/api"}},
		{"one with a line end", []string{"X-Forwarded-Prefix: /a%0d%0aX"}, []string{"SCRIPT_NAME=/api"}},
		{"one that is no URL", []string{"X-Forwarded-Prefix: http://evil.example/a"}, []string{"SCRIPT_NAME=/api"}},
		{"one with a bad escape", []string{"X-Forwarded-Prefix: /a%zz"}, []string{"SCRIPT_NAME=/api"}},
	} {
		t.Run(c.name, func(t *testing.T) { wantPairs(t, environAt(t, s, "10.0.0.2", "/api", c.lines...), c.want...) })
	}
}

// forwardingNames are fields by which clients pose as proxies.
var forwardingNames = []string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded",
	"X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-Protocol", "X-Forwarded-Server", "X-Forwarded-By", "X-Forwarded-User",
	"X-Real-IP", "X-Real-Port", "X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP", "Fastly-Client-IP",
	"X-Url-Scheme", "X-Scheme", "Front-End-Https", "Forwarded-For", "X-Original-Forwarded-For", "X-Original-Host", "X-Original-Proto",
	"X-Envoy-External-Address", "X-Azure-ClientIP", "X-Appengine-User-IP", "X-Script-Name", "X-Original-URL",
	"X-Rewrite-URL",
}

func TestFromOthersNoWordOfAProxyReachesTheApp(t *testing.T) {
	servers := map[string]*Server{
		"nobody is trusted": {}, "others are trusted": {TrustedProxies: trusted(t, "192.0.2.0/24", "unix")},
		"underscores are allowed": {HeaderPolicy: AllowUnderscores},
		"Forwarded":               {TrustedProxies: trusted(t, "192.0.2.0/24"), ForwardedHeaders: Forwarded},
	}
	plain := environAt(t, &Server{}, "10.0.0.2", "/api")
	for what, s := range servers {
		for _, name := range forwardingNames {
			for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_")} {
				for _, value := range []string{"127.0.0.1", "for=127.0.0.1;proto=https;host=evil.example", "https", "evil.example", "443", "/evil", "on"} {
					env := environAt(t, s, "10.0.0.2", "/api", spelling+": "+value)
					if !maps.Equal(env, plain) {
						t.Fatalf("%s: %s: %s changes the environ: %v", what, spelling, value, env)
					}
				}
			}
		}
		env := environAt(t, s, "10.0.0.2", "", "X-Forwarde: a", "Forwarder: b", "X-Forwardedfor: c", "Cookie: d", "X-Real: e", "Connection: close")
		wantPairs(t, env, "HTTP_X_FORWARDE=a", "HTTP_FORWARDER=b", "HTTP_X_FORWARDEDFOR=c", "HTTP_COOKIE=d", "HTTP_X_REAL=e", "HTTP_CONNECTION=close")
	}
}

func TestOnlyTheFieldsThatTheProxiesSetAreTaken(t *testing.T) {
	lines := []string{
		"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Forwarded-Port: 444",
		"X-Forwarded-Prefix: /evil", "Forwarded: for=6.6.6.6", "X-Real-IP: 192.0.2.1",
	}
	s := &Server{TrustedProxies: trusted(t, "*"), ForwardedHeaders: XForwardedFor | XForwardedProto}
	wantPairs(t, environAt(t, s, "10.0.0.2", "", lines...), "REMOTE_ADDR=192.0.2.1", "wsgi.url_scheme=https", "HTTP_HOST=inner", "SERVER_PORT=443",
		"SCRIPT_NAME=", "HTTP_X_FORWARDED_FOR=192.0.2.1", "HTTP_X_FORWARDED_PROTO=https", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT",
		"HTTP_X_FORWARDED_PREFIX", "HTTP_FORWARDED", "HTTP_X_REAL_IP=192.0.2.1")
	s.ForwardedHeaders = 0
	wantPairs(t, environAt(t, s, "10.0.0.2", "", lines...), "REMOTE_ADDR=192.0.2.1", "HTTP_HOST=evil.example:444", "SCRIPT_NAME=/evil", "HTTP_FORWARDED")
	s.ForwardedHeaders = Forwarded
	wantPairs(t, environAt(t, s, "10.0.0.2", "", lines...), "REMOTE_ADDR=6.6.6.6", "HTTP_HOST=inner", "SCRIPT_NAME=", "HTTP_FORWARDED=for=6.6.6.6", "HTTP_X_FORWARDED_FOR")
}

func TestAPeerIsTrustedByItsAddressOrByItsSocket(t *testing.T) {
	const line = "X-Forwarded-For: 6.6.6.6, 7.7.7.7, 10.0.0.9"
	for _, c := range []struct {
		trust []string
		peer  string
		want  string
	}{
		{[]string{"10.0.0.2"}, "10.0.0.2", "10.0.0.9"},
		{[]string{"10.0.0.2"}, "10.0.0.3", "10.0.0.3"},
		{[]string{"10.0.0.0/24"}, "10.0.0.3", "7.7.7.7"},
		{[]string{"::ffff:10.0.0.2"}, "10.0.0.2", "10.0.0.9"},
		{[]string{"::ffff:10.0.0.0/120"}, "10.0.0.2", "7.7.7.7"},
		{[]string{"fd00::/8", "10.0.0.9"}, "fd00::1", "7.7.7.7"},
		{[]string{"10.0.0.0/8"}, "fd00::1", "fd00::1"},
		{[]string{"unix"}, "", "10.0.0.9"},
		{[]string{"unix", "10.0.0.0/8"}, "", "7.7.7.7"},
		{[]string{"unix"}, "127.0.0.1", "127.0.0.1"},
		{[]string{"0.0.0.0/0", "::/0"}, "", ""},
		{[]string{"*"}, "", "10.0.0.9"},
		{[]string{"*"}, "10.0.0.2", "10.0.0.9"}, // of the one proxy that is there; the others in the list are not known
		{[]string{"*", "10.0.0.9"}, "192.0.2.1", "7.7.7.7"},
		{[]string{"0.0.0.0/0"}, "10.0.0.2", "6.6.6.6"},
	} {
		s := &Server{TrustedProxies: trusted(t, c.trust...)}
		if got := environAt(t, s, c.peer, "", line)["REMOTE_ADDR"]; got != c.want {
			t.Errorf("trusting %q, from %q: %q, expected %q", c.trust, c.peer, got, c.want)
		}
	}
}

func TestATrustedProxyIsAnAddressOrANetwork(t *testing.T) {
	for _, text := range []string{"10.0.0.7", "10.0.0.0/8", "::1", "fd00::/8", "unix", "*", "0.0.0.0/0"} {
		if p, err := ParseTrustedProxy(text); err != nil || p.String() != text {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	}
	for text, part := range map[string]string{
		"": "is no proxy", "localhost": "is no proxy", "10.0.0": "is no proxy", "10.0.0.1:80": "is no proxy", "fe80::1%eth0": "is no proxy",
		"10.0.0.0/33": "is no network", "10.0.0.1/8": "write 10.0.0.1, or 10.0.0.0/8", "::ffff:0.0.0.0/90": "IPv4", "unix:/x": "is no network",
		"10.0.0.0/8,::1": "is no network", " 10.0.0.1": "is no proxy",
	} {
		if p, err := ParseTrustedProxy(text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %v, %v, expected %q", text, p, err, part)
		}
	}
}

func TestForwardedHeadersAreNamed(t *testing.T) {
	for text, want := range map[string]ForwardedHeaders{
		"x-forwarded": XForwarded, "Forwarded": Forwarded, "X-Forwarded-For": XForwardedFor, "x-forwarded-proto,x-forwarded-for": XForwardedFor | XForwardedProto,
	} {
		h, err := ParseForwardedHeaders(text)
		back, err2 := ParseForwardedHeaders(h.String())
		if err != nil || err2 != nil || h != want || back != want {
			t.Errorf("%q: %v, %v, %v, %v", text, h, err, back, err2)
		}
	}
	for _, text := range []string{"", "x-forwarded-foo", "x-forwarded,", "forwarded-for"} {
		if h, err := ParseForwardedHeaders(text); err == nil {
			t.Errorf("%q: %v", text, h)
		}
	}
}

func TestNamesWithUnderscoresAreDroppedRefusedOrAllowed(t *testing.T) {
	lines := []string{"X_A: 1", "X-B: 2", "X_B: 3", "X-C_D: 4", "X_C-D: 5", "x_c-d: 6", "Content_Length: 7", "Content_Type: 8", "Transfer_Encoding: 9", "X_B: 10", "X_Request_ID: 11"}
	same := []string{"HTTP_X_B=2", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_X_REQUEST_ID"}
	wantPairs(t, environAt(t, &Server{}, "10.0.0.2", "", lines...), append(same, "HTTP_X_A", "HTTP_X_C_D")...)
	wantPairs(t, environAt(t, &Server{HeaderPolicy: AllowUnderscores}, "10.0.0.2", "", lines...), append(same, "HTTP_X_A=1", "HTTP_X_C_D=4,5,6")...)

	for policy, want := range map[HeaderPolicy]int{DropUnderscores: 200, RefuseUnderscores: 400, AllowUnderscores: 200} {
		ts := serve(t, hello, func(s *Server) { s.HeaderPolicy = policy })
		c := ts.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\nX_A: 1\r\n\r\nGET /second HTTP/1.1\r\nHost: h\r\n\r\n")
		c.want(want, "*")
		if want == 400 {
			c.wantClosed()
		} else {
			c.want(200, "hello /second")
		}
	}
	for text, want := range map[string]HeaderPolicy{"drop": DropUnderscores, "refuse": RefuseUnderscores, "allow": AllowUnderscores} {
		var p HeaderPolicy
		if err := p.UnmarshalText([]byte(text)); err != nil || p != want || p.String() != text {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	}
	if err := new(HeaderPolicy).UnmarshalText([]byte("keep")); err == nil {
		t.Error("keep is no policy")
	}
}

func TestAServerTakesItsProxysWordAndNobodyElses(t *testing.T) {
	answer := func(r *fakeRequest) {
		r.Reply("200 OK", plainText, fmt.Sprint(r.Environ["REMOTE_ADDR"], " ", r.Environ["wsgi.url_scheme"], " ", r.Environ["HTTP_HOST"], " ", r.Environ["HTTP_X_FORWARDED_FOR"]))
	}
	const request = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: example.org\r\n\r\n"
	for trust, want := range map[string]string{"127.0.0.1": "192.0.2.1 https example.org 192.0.2.1", "10.0.0.0/8": "127.0.0.1 http h "} {
		ts := serve(t, answer, func(s *Server) { s.TrustedProxies = trusted(t, trust) })
		c := ts.dial()
		for range 2 { // by the loop
			c.send(request)
			c.want(200, want)
		}
		c.send(request + request) // by a goroutine
		c.want(200, want)
		c.want(200, want)
	}
}

func TestAConnectionOfAProxyAllocatesLittle(t *testing.T) {
	p := newProxies(trusted(t, "10.0.0.0/8"), 0)
	var q request
	if q.parse([]byte("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: example.org\r\n\r\n")) != 0 {
		t.Fatal("refused")
	}
	e := endpointsOf(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 5000}, "http")
	e.proxies = p
	fixed, rec, mount := e.appendPairs(nil), make([]byte, 0, 4000), &Mount{}
	if n := testing.AllocsPerRun(1000, func() { rec = appendEnviron(rec[:0], &q, slash, mount, fixed, &e, 0) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{`for=192.0.2.1;proto=https`, `for="[2001:db8::1]:80", for=10.0.0.1`, `a="\"`, `for="_x:_y";;`, "192.0.2.1, unknown, ::1", "1.2.3.4:5"} {
		f.Add(s, s)
	}
	p := newProxies(trusted(f, "10.0.0.0/8"), 0)
	const client = "198.51.100.7"
	f.Fuzz(func(t *testing.T, x, forwarded string) {
		if !all([]byte(x+forwarded), fieldChar) {
			return
		}
		// Whatever a client sends, what the proxy adds behind it is what holds.
		q := &request{fields: []field{
			{[]byte("X-Forwarded-For"), trimOWS([]byte(x + ", " + client))}, {[]byte("X-Forwarded-Proto"), trimOWS([]byte(x + ",https"))},
			{[]byte("X-Forwarded-Host"), trimOWS([]byte(x + ",example.org"))}, {[]byte("X-Forwarded-Prefix"), trimOWS([]byte(x + ", /p"))},
			{[]byte("Forwarded"), trimOWS([]byte(forwarded + ", for=" + client + ";proto=https;host=example.org"))},
		}}
		o := p.origin(q)
		if o.addr.String() != client || o.scheme != "https" || string(o.host) != "example.org" || string(o.prefix) != "/p" {
			t.Fatalf("%q: %+v", x, o)
		}
		if o := p.originForwarded(q); o.addr.String() != client || o.scheme != "https" || string(o.host) != "example.org" {
			t.Fatalf("%q: %+v", forwarded, o)
		}
		// Alone it may say what it likes, in proper words.
		q = &request{fields: []field{
			{[]byte("X-Forwarded-For"), trimOWS([]byte(x))}, {[]byte("X-Forwarded-Host"), trimOWS([]byte(x))}, {[]byte("X-Forwarded-Port"), trimOWS([]byte(x))},
			{[]byte("X-Forwarded-Prefix"), trimOWS([]byte(x))}, {[]byte("Forwarded"), trimOWS([]byte(forwarded))},
		}}
		for _, o := range []origin{p.origin(q), p.originForwarded(q)} {
			if o.addr.Zone() != "" || o.addr.Is4In6() || o.port > 65535 || o.host != nil && !validAuthority(o.host) ||
				o.at != nil && parsePort(o.at) < 1 || strings.HasPrefix(string(o.prefix), "//") || slices.Contains(o.prefix, '\n') || slices.Contains(o.prefix, '\\') {
				t.Fatalf("%q %q: %+v", x, forwarded, o)
			}
		}
	})
}
