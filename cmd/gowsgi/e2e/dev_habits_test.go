package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What apps do that a development server has to bear.

func TestThreadsOfOldCodeEndSoonAfterIt(t *testing.T) {
	t.Parallel()
	const endless = "import threading, time\nthreading.Thread(target=lambda: [time.sleep(.01) for _ in iter(int, 1)]).start()\n"
	p := dev(t, projectOf(t, "app.py", endless+wsgiSaying("v0")), options{})
	for i := range 3 {
		p.save("app.py", endless+wsgiSaying(fmt.Sprintf("v%d", i+1)))
		p.until("/", fmt.Sprintf("v%d at", i+1))
	}
	eventually(t, "one worker is left", func() bool { return len(p.workers()) == 1 })
	if p.countLog("error") > 0 {
		t.Error(p.tail(40))
	}
}

func TestAFolderThatWasAwayIsFoundAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "project")
	save(t, filepath.Join(dir, "app.py"), wsgiSaying("first"))
	p := dev(t, dir, options{})
	p.until("/", "first")
	if err := os.Rename(dir, dir+" elsewhere"); err != nil {
		t.Fatal(err)
	}
	p.until("/", "AppNotFound")
	if err := os.Rename(dir+" elsewhere", dir); err != nil {
		t.Fatal(err)
	}
	p.until("/", "first at")
	p.save("app.py", wsgiSaying("second"))
	p.until("/", "second at")
}

const writingApp = `import itertools
import os
import sqlite3

from flask import Flask

from words import WORD

app = Flask(__name__)
number = itertools.count()


def write(path, mode="w"):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, mode) as f:
        f.write(str(next(number)))


@app.route("/")
def index():
    return "<html><body>%s</body></html>" % WORD


@app.route("/write")
def everything():
    with sqlite3.connect("site.db") as db:
        db.execute("create table if not exists t (x)")
        db.execute("insert into t values (1)")
    db.close()
    write("static/chart.png")
    write("static/charts/new-%d.svg" % next(number))
    write("uploads/page-%d.html" % next(number))
    write("data.json")
    write("cache/settings.ini")
    write("messages.txt", "a")
    return "<html><body>written</body></html>"
`

func TestWhatTheAppWritesItselfLoadsNothing(t *testing.T) {
	t.Parallel()
	dir := projectOf(t, "app.py", writingApp, "words.py", "WORD = 'first'\n", "static/site.js", "")
	p := dev(t, dir, options{})
	p.until("/", "first")
	p.until("/write", "written") // whose folders are there from then on
	events := p.events()
	for range 10 {
		p.until("/write", "written")
		time.Sleep(60 * time.Millisecond) // so that these are no single change
	}
	p.save("static/site.js", "1")
	for _, want := range []string{"hello", "page"} {
		select {
		case got := <-events:
			if got != want {
				t.Fatalf("the event %s, not %s", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no event %s", want)
		}
	}
	p.save("words.py", "WORD = 'second'\n")
	p.until("/", "second")
	if n := p.countLog("changed: loaded"); n > 1 {
		t.Errorf("%d changes were loaded\n%s", n, p.tail(40))
	}
}

// events gives the names of the events that a page gets.
func (p *devProject) events() <-chan string {
	p.t.Helper()
	resp, err := http.Get("http://" + p.addr + "/__gowsgi__/events")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { resp.Body.Close() })
	c := make(chan string, 100)
	go func() {
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				c <- name
			}
		}
	}()
	return c
}

func TestAnImportThatExitsIsShown(t *testing.T) {
	t.Parallel()
	p := dev(t, projectOf(t, "app.py", "import sys\nsys.exit('no configuration')\n"+wsgiSaying("never")), options{})
	p.until("/", "no configuration", "Accept", "text/html")
	p.save("app.py", wsgiSaying("mended"))
	p.until("/", "mended")
}

func TestTwoServersFollowOneFolder(t *testing.T) {
	t.Parallel()
	dir := flaskProject(t)
	one, other := dev(t, dir, options{}), dev(t, dir, options{})
	one.edit("words.py", "first", "second")
	one.until("/", "second")
	other.until("/", "second")
}

func TestACircularImportIsShownWithItsReason(t *testing.T) {
	t.Parallel()
	p := dev(t, projectOf(t, "app.py", "from models import db\n"+wsgiSaying("here"), "models.py", "from app import app\ndb = 1\n"), options{})
	p.until("/", "circular import", "Accept", "text/html")
	p.save("models.py", "db = 1\n")
	p.until("/", "here")
}

func TestAnAppThatRunsFlasksOwnServerIsServedAllTheSame(t *testing.T) {
	t.Parallel()
	dir := flaskProject(t)
	save(t, filepath.Join(dir, "app.py"), flaskApp+"\n\napp.run(debug=True)\n")
	p := dev(t, dir, options{})
	p.waitLog(t, "Ignoring a call to 'app.run()'")
	p.until("/", "first")
	p.edit("words.py", "first", "second")
	p.until("/", "second")
}

func TestAStreamEndsSoonAfterItsCode(t *testing.T) {
	t.Parallel()
	const stream = `import time


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    if environ["PATH_INFO"] == "/stream":
        return iter(lambda: time.sleep(0.01) or b"data: x", None)
    return [b"%s"]
`
	p := dev(t, projectOf(t, "app.py", fmt.Sprintf(stream, "first")), options{})
	resp, err := http.Get("http://" + p.addr + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p.save("app.py", fmt.Sprintf(stream, "second"))
	p.until("/", "second")
	eventually(t, "one worker is left", func() bool { return len(p.workers()) == 1 })
	if p.countLog("error")+p.countLog("runs no Python code") > 0 {
		t.Error(p.tail(40))
	}
}
