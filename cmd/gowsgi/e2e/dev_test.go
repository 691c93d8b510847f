package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// devProject is a project's folder with a development server.
type devProject struct {
	*server
	t   testing.TB
	dir string
}

// projectOf writes files, given as names and texts, into a new folder.
func projectOf(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		save(t, filepath.Join(dir, files[i]), files[i+1])
	}
	return dir
}

// save writes a file as an editor does that makes no copies.
func save(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// dev starts gowsgi dev in a folder.
func dev(t testing.TB, dir string, o options) *devProject {
	t.Helper()
	s, err := newServer("dev", o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(dir, append(append([]string{"dev", "--port", "0"}, python.args...), o.args...)); err != nil {
		t.Fatal(err)
	}
	s.stopAtEnd(t)
	return &devProject{s, t, dir}
}

func (p *devProject) save(name, text string) {
	p.t.Helper()
	save(p.t, filepath.Join(p.dir, name), text)
}

// edit replaces a text in a file.
func (p *devProject) edit(name, old, text string) {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		p.t.Fatalf("%s has no %q: %s", name, old, b)
	}
	p.save(name, strings.ReplaceAll(string(b), old, text))
}

// ask sends a GET on a connection of its own, with header fields as name and value.
func (p *devProject) ask(path string, header ...string) (status int, body string, err error) {
	req, err := http.NewRequest("GET", "http://"+p.addr+path, nil)
	if err != nil {
		return 0, "", err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// until asks again and again, until the answer has the text. Not one request may fail on the way.
func (p *devProject) until(path, text string, header ...string) (body string) {
	p.t.Helper()
	var status int
	if !within(30*time.Second, func() bool {
		var err error
		if status, body, err = p.ask(path, header...); err != nil {
			p.t.Fatalf("%v\n%s", err, p.tail(40))
		}
		return strings.Contains(body, text)
	}) {
		p.t.Fatalf("%s never has %q: %d %s\n%s", path, text, status, body, p.tail(40))
	}
	return body
}

const flaskApp = `from flask import Flask, render_template

from words import GREETING

app = Flask(__name__)


@app.route("/")
def index():
    return GREETING


@app.route("/page")
def page():
    return render_template("page.html")


@app.route("/fail")
def fail():
    secret_number = 42
    raise ValueError("on purpose")
`

func flaskProject(t testing.TB) string {
	return projectOf(t, "app.py", flaskApp, "words.py", "GREETING = 'first'\n", "templates/page.html", "<html><head></head><body>page one</body></html>")
}

func TestDevFollowsAFlaskProject(t *testing.T) {
	t.Parallel()
	p := dev(t, flaskProject(t), options{})
	p.waitLog(t, "app:app")
	p.waitLog(t, "Python "+python.version)
	p.until("/", "first")
	p.edit("words.py", "first", "second")
	p.until("/", "second")
	p.edit("templates/page.html", "one", "two")
	p.until("/page", "page two")

	p.save("words.py", "GREETING = (\n")
	page := p.until("/", "SyntaxError", "Accept", "text/html")
	if !strings.Contains(page, "words.py") || !strings.Contains(page, "/__gowsgi__/dev.js") {
		t.Errorf("%s", page)
	}
	p.save("words.py", "GREETING = 'third'\n")
	p.until("/", "third")

	status, page, err := p.ask("/fail", "Accept", "text/html,*/*;q=0.8")
	if err != nil || status != 500 || !strings.Contains(page, "on purpose") || !strings.Contains(page, "secret_number") || !strings.Contains(page, "/__gowsgi__/dev.js") {
		t.Errorf("%d %v %s", status, err, page)
	}
	status, page, err = p.ask("/fail", "Accept", "application/json")
	if err != nil || status != 500 || !strings.HasPrefix(page, "{") || !strings.Contains(page, `"ValueError"`) {
		t.Errorf("%d %v %s", status, err, page)
	}
	if status, page, err = p.ask("/page", "Accept", "text/html"); err != nil || status != 200 || !strings.Contains(page, `<head><script src="/__gowsgi__/dev.js"`) {
		t.Errorf("%d %v %s", status, err, page)
	}
}

func TestDevFollowsADjangoProject(t *testing.T) {
	t.Parallel()
	dir := djangoProject(t)
	p := dev(t, dir, options{})
	p.waitLog(t, "mysite.wsgi:application")
	p.until("/", "version one")
	p.edit("polls/views.py", "one", "two")
	p.until("/", "version two")
	p.edit("polls/templates/polls/index.html", "template a", "template b")
	p.until("/", "template b")
	if status, body, err := p.ask("/static/polls/style.css"); err != nil || status != 200 || body != "body {}\n" {
		t.Errorf("%d %q %v", status, body, err)
	}
	p.edit("mysite/settings.py", "DEBUG = True", "DEBUG = undefined_name")
	p.until("/", "undefined_name", "Accept", "text/html")
	p.edit("mysite/settings.py", "undefined_name", "True")
	p.until("/", "version two")
	// Django's own page wins.
	if status, body, err := p.ask("/fail", "Accept", "text/html"); err != nil || status != 500 || !strings.Contains(body, "DJANGO_SETTINGS_MODULE") && !strings.Contains(body, "Django Version") {
		t.Errorf("%d %v %s", status, err, body)
	}
}

func TestNoRequestFailsWhileDevLoadsCode(t *testing.T) {
	t.Parallel()
	p := dev(t, flaskProject(t), options{})
	p.until("/", "first")
	over := make(chan struct{})
	var asking sync.WaitGroup
	for range 3 {
		asking.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if status, body, err := p.ask("/"); err != nil || status != 200 || body == "" {
					t.Errorf("%d %q %v", status, body, err)
					return
				}
			}
		})
	}
	for i := range 50 {
		p.save("words.py", fmt.Sprintf("GREETING = 'save %d'\n", i))
		time.Sleep(20 * time.Millisecond) // a second of saves
	}
	p.until("/", "save 49")
	close(over)
	asking.Wait()
}

func TestTheOldCodeServesUntilTheNewOneIsThere(t *testing.T) {
	t.Parallel()
	p := dev(t, flaskProject(t), options{})
	p.until("/", "first")
	started, _ := gate(t)
	p.save("words.py", fmt.Sprintf("import time\nopen(%q, 'w').close()\ntime.sleep(1000)\nGREETING = 'never'\n", started))
	if !within(30*time.Second, func() bool { _, err := os.Stat(started); return err == nil }) {
		t.Fatal("the new code is not imported")
	}
	p.until("/", "first")
	p.save("words.py", "GREETING = 'mended'\n")
	p.until("/", "mended")
}

func TestAnImportThatEndsTheProcessIsShown(t *testing.T) {
	t.Parallel()
	dir := flaskProject(t)
	save(t, filepath.Join(dir, "words.py"), "import os\nos._exit(3)\n")
	p := dev(t, dir, options{})
	p.until("/", "exit status 3")
	p.save("words.py", "GREETING = 'mended'\n")
	p.until("/", "mended")
	p.save("words.py", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
	p.until("/", "segmentation fault")
	p.save("words.py", "GREETING = 'mended again'\n")
	p.until("/", "mended again")
}

func TestDevSaysWhatItLookedForWhereThereIsNoApp(t *testing.T) {
	t.Parallel()
	c := command(append([]string{"dev"}, python.args...)...)
	c.Dir = t.TempDir()
	out, code := runToEnd(t, c)
	for _, want := range []string{"manage.py", "FLASK_APP", "wsgi, app, main", "gowsgi dev module:callable"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not said", want)
		}
	}
	if code != 2 {
		t.Errorf("exit code %d", code)
	}
	if t.Failed() {
		t.Log(out)
	}
}

// djangoProject is what django-admin makes, with an app polls.
func djangoProject(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	runPython(t, dir, "-m", "django", "startproject", "mysite", ".")
	runPython(t, dir, "-m", "django", "startapp", "polls")
	save(t, filepath.Join(dir, "polls/views.py"), `from django.shortcuts import render


def index(request):
    return render(request, "polls/index.html", {"version": "version one"})


def fail(request):
    raise ValueError("on purpose")
`)
	save(t, filepath.Join(dir, "polls/templates/polls/index.html"), "<html><head></head><body>{{ version }}, template a</body></html>\n")
	save(t, filepath.Join(dir, "polls/static/polls/style.css"), "body {}\n")
	save(t, filepath.Join(dir, "mysite/urls.py"), `from django.urls import path

from polls import views

urlpatterns = [path("", views.index), path("fail", views.fail)]
`)
	p := devProject{t: t, dir: dir}
	p.edit("mysite/settings.py", "INSTALLED_APPS = [", "INSTALLED_APPS = [\n    'polls',")
	return dir
}

func TestOpenPagesHearOfStaticFiles(t *testing.T) {
	t.Parallel()
	dir := flaskProject(t)
	save(t, filepath.Join(dir, "static/own.css"), "")
	save(t, filepath.Join(dir, "public/site.css"), "")
	save(t, filepath.Join(dir, "public/site.js"), "")
	p := dev(t, dir, options{args: []string{"--static", "/public=public"}})
	p.until("/public/site.css", "")
	events, err := http.Get("http://" + p.addr + "/__gowsgi__/events")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	lines := bufio.NewReader(events.Body)
	heard := func(want string) {
		t.Helper()
		timer := time.AfterFunc(30*time.Second, func() { events.Body.Close() })
		defer timer.Stop()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("%q does not come: %v\n%s", want, err, p.tail(20))
			}
			if strings.TrimSpace(line) == want {
				return
			}
		}
	}
	heard("event: hello")
	p.save("static/own.css", "p {}")
	heard(`data: ["own.css"]`)
	p.save("public/site.css", "p {}")
	heard(`data: ["site.css"]`)
	p.save("public/site.js", "1")
	heard("event: page")
	if _, body, _ := p.ask("/public/site.css"); body != "p {}" {
		t.Errorf("%q", body)
	}
	p.save("words.py", "GREETING = 'next'\n")
	if rest, err := io.ReadAll(lines); err != nil { // the worker drains, and the page goes to the next one
		t.Errorf("%q %v", rest, err)
	}
}

func TestTwoSavesOfOneLengthWithinASecondAreTwoSaves(t *testing.T) {
	t.Parallel()
	p := dev(t, flaskProject(t), options{env: []string{"PYTHONDONTWRITEBYTECODE="}})
	p.until("/", "first")
	when := time.Now().Add(time.Hour).Truncate(time.Second) // all are saved just now, however slow this machine is
	for _, text := range []string{"one", "two", "six", "ten"} {
		// CPython tells whether its bytecode is that of a source by the length and the time in seconds.
		path := filepath.Join(p.dir, "words.py")
		save(t, path+".new", fmt.Sprintf("GREETING = '%s'\n", text))
		if err := os.Chtimes(path+".new", when, when); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		p.until("/", text)
	}
}
