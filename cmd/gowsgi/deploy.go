package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/certs"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/deploypy"
	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/privileges"
	"github.com/gowsgi/gowsgi/gateway"
	"github.com/gowsgi/gowsgi/pyhost"
)

// Times for what the Python side looks at, all together: it ends by itself after deployTime, unless something has the GIL.
const (
	deployTime = 8 * time.Second
	deployLate = 2 * time.Second
)

// finding is one thing that would go wrong in production.
type finding = deploypy.Finding

// findings gathers them.
type findings struct{ all []finding }

func (f *findings) add(level, where, what, mend string) {
	f.all = append(f.all, finding{Level: level, Where: where, What: what, Mend: mend})
}

// The levels of findings, the worst first.
const (
	levelError   = "error"   // it does not work, or is open to attack
	levelWarning = "warning" // it goes wrong sooner or later
	levelNote    = "note"    // worth to know; no reason to fail
)

var levels = []string{levelError, levelWarning, levelNote}

// checked is what the flags led to.
type checked struct {
	dir      string
	mounts   []mount
	python   pyhost.Python
	identity *privileges.Identity // nil: the process stays what it is
	static   []staticSetting
	tls      *certs.Settings // nil: nobody speaks it
}

// findings are all that would go wrong. host has imported the apps, and nothing else has been done with them.
func (c *checkCmd) findings(host *pyhost.Host, is checked) []finding {
	resident, now := residentSize(), time.Now()
	found := &findings{c.askApps(host, is.mounts)}
	found.age(is.python.Version, now)
	spool := c.SpoolDir
	if spool == "" {
		spool = os.TempDir()
	}
	found.access(&is, pathIn(is.dir, spool))
	found.memory(&c.serveCmd, resident, memoryLimit("/"))
	found.server(&c.serveCmd, is.tls, now)
	return found.all
}

// askApps has the Python side look at the apps that host has loaded, those of mounts in their order.
func (c *checkCmd) askApps(host *pyhost.Host, mounts []mount) []finding {
	question, err := json.Marshal(c.deployServer(mounts))
	if err != nil {
		return []finding{couldNotLook(err)}
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), deployTime+deployLate, errors.New("no answer from Python in time"))
	defer cancel()
	answer, err := host.Ask(ctx, deploypy.Findings, string(question))
	if errors.Is(err, context.DeadlineExceeded) {
		err = context.Cause(ctx)
	}
	var found []finding
	if err == nil {
		err = json.Unmarshal([]byte(answer), &found)
	}
	if err != nil {
		return []finding{couldNotLook(err)}
	}
	return found
}

func couldNotLook(err error) finding {
	return finding{
		Level: levelWarning, Where: "the apps", What: "they could not be looked at: " + plainText(err),
		Mend: "see whether the app works; what else was found is not affected",
	}
}

// deployServer is what the Python side is told.
func (c *checkCmd) deployServer(mounts []mount) deploypy.Server {
	encrypted := len(c.Certfile)+len(c.ACME) > 0
	s := deploypy.Server{
		Workers: c.Workers, Threads: c.Threads, Seconds: deployTime.Seconds(), Trusted: len(c.TrustedProxy) > 0,
		StaticFromApp: c.StaticFromApp, OnlyHTTPS: encrypted, Apps: []string{}, Static: []string{},
	}
	for _, m := range mounts {
		s.Apps, s.Prefixes = append(s.Apps, m.app), append(s.Prefixes, m.prefix)
	}
	for _, f := range c.Static {
		s.Static = append(s.Static, f.Prefix)
	}
	for _, b := range c.Bind {
		s.HTTPS = s.HTTPS || encrypted && !b.words.Plain && !b.words.Redirect
		s.OnlyHTTPS = s.OnlyHTTPS && !b.words.Plain
	}
	s.Scheme, s.Hidden = forwardedFields(&c.proxyFlags)
	return s
}

// forwardedFields says whether a proxy's word on the scheme is taken, and which header fields of proxies don't reach the app.
func forwardedFields(f *proxyFlags) (scheme bool, hidden []string) {
	if len(f.TrustedProxy) == 0 { // gateway's isForwarding
		return false, []string{"x-forwarded-*", "x-scheme", "x-url-scheme", "front-end-https"}
	}
	taken := f.headers()
	hidden = []string{}
	if taken&gateway.Forwarded != 0 {
		return true, []string{"x-forwarded-*"}
	}
	for _, field := range []gateway.ForwardedHeaders{gateway.XForwardedProto, gateway.XForwardedHost, gateway.XForwardedPort} {
		if taken&field == 0 {
			hidden = append(hidden, field.String())
		}
	}
	return taken&gateway.XForwardedProto != 0, hidden
}

// report writes the findings, the worst first, and says whether one of them is a reason to fail.
func report(out io.Writer, found []finding) error {
	painted := colours(out)
	count := map[string]int{}
	for _, level := range levels {
		for _, f := range found {
			if f.Level != level {
				continue
			}
			count[level]++
			name := fmt.Sprintf("%-9s", level)
			if painted {
				name = colour[level] + name + "\x1b[0m"
			}
			fmt.Fprintf(out, "%s%s: %s\n%9smend: %s\n", name, oneLine(f.Where), oneLine(f.What), "", oneLine(f.Mend))
		}
	}
	if len(found) == 0 {
		fmt.Fprintln(out, "nothing was found that would go wrong in production")
		return nil
	}
	var parts []string
	for _, level := range levels {
		if n := count[level]; n == 1 {
			parts = append(parts, "1 "+level)
		} else if n > 1 {
			parts = append(parts, fmt.Sprintf("%d %ss", n, level))
		}
	}
	fmt.Fprintf(out, "\n%s\n", strings.Join(parts, ", "))
	if slices.ContainsFunc(found, func(f finding) bool { return f.Level != levelNote }) {
		return &codeError{code: exitOther}
	}
	return nil
}

var colour = map[string]string{levelError: "\x1b[1;31m", levelWarning: "\x1b[33m", levelNote: "\x1b[36m"}

// oneLine is a text that can't look like another finding.
func oneLine(text string) string {
	return strings.Map(printable, strings.Join(strings.Fields(text), " "))
}
