package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gowsgi/gowsgi/gateway"
)

func TestTheProxyFlagsAreTakenFromAllSourcesAndShown(t *testing.T) {
	c := command("check", noPython, "--header-policy=refuse")
	c.Dir = configFolder(t, "bind = ['unix:s mode=0660 group=daemon', ':80 plain']\nforwarded-header = ['x-forwarded-for', 'X-Forwarded-Proto']\n")
	c.Env = append(c.Env, "GOWSGI_TRUSTED_PROXY=unix,10.0.0.0/8,::1")
	_, stdout, stderr := runCommand(t, c)
	lines := map[string]string{}
	for line := range strings.Lines(stdout) {
		if fields := strings.Fields(line); len(fields) > 1 {
			lines[fields[0]] = strings.Join(fields[1:], " ")
		}
	}
	for name, want := range map[string]string{
		"bind": "unix:s mode=0660 group=daemon, :80 plain gowsgi.toml:1", "forwarded-header": "x-forwarded-for, x-forwarded-proto gowsgi.toml:2",
		"trusted-proxy": "unix, 10.0.0.0/8, ::1 GOWSGI_TRUSTED_PROXY", "header-policy": "refuse flag",
	} {
		if lines[name] != want {
			t.Errorf("%s: %q, expected %q", name, lines[name], want)
		}
	}
	if t.Failed() {
		t.Log(stdout, stderr)
	}
}

func TestWrongProxyFlagsAreUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		part string
	}{
		{[]string{"--trusted-proxy", "nginx"}, `"nginx" is no proxy`},
		{[]string{"--trusted-proxy", "10.0.0.1/8"}, "write 10.0.0.1, or 10.0.0.0/8"},
		{[]string{"--forwarded-header", "x-real-ip"}, "is none of x-forwarded, forwarded"},
		{[]string{"--forwarded-header", "forwarded", "--forwarded-header", "x-forwarded-for", "--trusted-proxy", "*"}, "exclude each other"},
		{[]string{"--header-policy", "keep"}, "none of drop, refuse, allow"},
		{[]string{"--bind", ":80 proxy"}, "after an address can stand"},
		{[]string{"--bind", "unix:s mode=9"}, "octal"},
	} {
		code, _, stderr := runCommand(t, command(append([]string{"serve", "site"}, c.args...)...))
		if code != exitUsage || !strings.Contains(stderr, c.part) || !strings.Contains(stderr, c.args[0]) {
			t.Errorf("%q: code %d: %s", c.args, code, stderr)
		}
	}
}

func TestWorkersAreToldTheProxyFlags(t *testing.T) {
	var f, again proxyFlags
	for _, text := range []string{"unix", "10.0.0.0/8", "*"} {
		p, err := gateway.ParseTrustedProxy(text)
		if err != nil {
			t.Fatal(err)
		}
		f.TrustedProxy = append(f.TrustedProxy, p)
	}
	f.ForwardedHeader, f.HeaderPolicy = []gateway.ForwardedHeaders{gateway.XForwardedFor | gateway.XForwardedPort, gateway.XForwardedHost}, gateway.AllowUnderscores
	data, err := json.Marshal(f)
	if err == nil {
		err = json.Unmarshal(data, &again)
	}
	if err != nil {
		t.Fatal(err)
	}
	var a, b gateway.Server
	f.set(&a)
	again.set(&b)
	if len(b.TrustedProxies) != 3 || b.TrustedProxies[1] != a.TrustedProxies[1] || b.TrustedProxies[2] != a.TrustedProxies[2] ||
		b.ForwardedHeaders != gateway.XForwardedFor|gateway.XForwardedPort|gateway.XForwardedHost || b.HeaderPolicy != gateway.AllowUnderscores {
		t.Errorf("%s: %+v", data, again)
	}
}
