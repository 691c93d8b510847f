package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	permissions "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const browsedApp = `from flask import Flask, Response, render_template, request

from words import GREETING

app = Flask(__name__)


@app.route("/")
def index():
    return "<html><head></head><body><p>%s</p><input><p style='height: 5000px'></p></body></html>" % GREETING


@app.route("/page")
def page():
    return render_template("page.html")


@app.route("/policy")
def policy():
    text = "<html><head></head><body>%s</body></html>" % GREETING
    return Response(text, headers={"Content-Security-Policy": request.args["policy"]})


@app.route("/frames")
def frames():
    return "<html><head></head><body>frames of %s%s</body></html>" % (GREETING, "<iframe src=/page></iframe>" * 8)


@app.route("/divide")
def divide():
    dividend, divisor = 42, 0
    return str(dividend / divisor)


@app.route("/old")
def old():
    return "<html><head><script src='/__gowsgi__/dev.js' data-generation='1'></script></head><body>old</body></html>"


@app.route("/favicon.ico")
def icon():
    return "", 204
`

// No request for an icon is under way when a test saves a file: it would pass for a product of that request.
const browsedPage = `<html><head><link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/site.css"><link rel="stylesheet" href="/static/other.css"><script src="/static/site.js"></script>
</head><body><p>page one</p><b>b</b></body></html>
`

// browsedProject is a project of Flask for a test in the browser.
func browsedProject(t testing.TB) string {
	t.Helper()
	theBrowser(t) // it is skipped before a server runs
	return projectOf(t, "app.py", browsedApp, "words.py", "GREETING = 'first'\n", "templates/page.html", browsedPage,
		"static/site.css", "@import 'base.css';\np { color: rgb(1, 1, 1) }\n", "static/base.css", "b { color: rgb(1, 1, 1) }\n",
		"static/other.css", "", "static/site.js", "var version = 'one'\n")
}

func (p *devProject) url(path string) string { return "http://" + p.addr + path }

func TestAnOpenPageOfFlaskFollowsCodeAndTemplates(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{})
	b := openTab(t, p.url("/"))
	b.listens()
	p.edit("words.py", "first", "second")
	b.shows("second")
	b.open(p.url("/page"))
	b.listens()
	p.edit("templates/page.html", "one", "two")
	b.shows("page two")
}

func TestAnOpenPageOfDjangoFollowsCodeTemplatesAndStaticFiles(t *testing.T) {
	t.Parallel()
	theBrowser(t)
	dir := djangoProject(t)
	template, sheet := filepath.Join(dir, "polls/templates/polls/index.html"), filepath.Join(dir, "polls/static/polls/style.css")
	save(t, template, `<html><head><link rel="stylesheet" href="/static/polls/style.css"></head><body>{{ version }}, template a</body></html>`)
	save(t, sheet, "@import 'base.css';\n")
	save(t, filepath.Join(dir, "polls/static/polls/base.css"), "body { color: rgb(1, 1, 1) }\n")
	// A browser takes a file that has not changed for long for one that does not change soon.
	long := time.Now().AddDate(-1, 0, 0)
	for _, name := range []string{"style.css", "base.css"} {
		if err := os.Chtimes(filepath.Join(dir, "polls/static/polls", name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	p := dev(t, dir, options{})
	b := openTab(t, p.url("/"))
	b.listens()
	p.edit("polls/views.py", "version one", "version two")
	b.shows("version two, template a")
	b.listens()
	p.edit("polls/templates/polls/index.html", "template a", "template b")
	b.shows("version two, template b")
	b.mark()
	p.edit("polls/static/polls/base.css", "1, 1, 1", "2, 2, 2")
	b.until("getComputedStyle(document.body).color == 'rgb(2, 2, 2)'")
	if !b.marked() {
		t.Error("the page was loaded anew")
	}
}

func TestStyleSheetsAreExchangedInThePage(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{})
	b := openTab(t, p.url("/page"))
	b.mark()
	colour := func(element, want string) {
		t.Helper()
		b.until(fmt.Sprintf("getComputedStyle(document.querySelector('%s')).color == 'rgb(%s)'", element, want))
	}
	colour("p", "1, 1, 1")
	for _, want := range []string{"2, 2, 2", "3, 3, 3"} { // also a second time
		p.save("static/site.css", "@import 'base.css';\np { color: rgb("+want+") }\n")
		colour("p", want)
	}
	p.edit("static/base.css", "1, 1, 1", "4, 4, 4") // it is imported
	colour("b", "4, 4, 4")
	// Twice before the first is loaded.
	eval[any](b, `for (const _ of "ab") streams[0].dispatchEvent(new MessageEvent("css", { data: '["site.css"]' }))`)
	b.until("document.querySelectorAll('link[rel=stylesheet]').length == 2 && document.styleSheets.length == 2")
	if order := eval[string](b, "[...document.styleSheets].map(s => new URL(s.href).pathname).join()"); order != "/static/site.css,/static/other.css" {
		t.Errorf("the order of the sheets is %s", order)
	}
	if !b.marked() {
		t.Error("the page was loaded anew")
	}

	b.open(p.url("/")) // a page without the sheet: who knows what its scripts do with it
	b.mark()
	p.edit("static/base.css", "4, 4, 4", "5, 5, 5")
	b.until("!window.mark")
}

func TestAPageIsLoadedAnewForOtherStaticFiles(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{})
	b := openTab(t, p.url("/page"))
	b.listens()
	p.save("static/site.js", "var version = 'two'\n")
	b.until("window.version == 'two'")
	b.mark()
	p.save("static/picture.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
	b.until("!window.mark")
	if c := b.complained(); c != "" {
		t.Error(c)
	}
}

func TestAnOpenPageShowsThatTheCodeIsBrokenAndThatItIsMended(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{})
	b := openTab(t, p.url("/"))
	b.listens()
	p.save("words.py", "GREETING = (\n")
	b.shows("SyntaxError")
	b.shows("words.py")
	b.listens()
	p.save("words.py", "GREETING = 'mended'\n")
	b.shows("mended")
}

func TestTheErrorPageShowsAnException(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{})
	b := openTab(t, p.url("/divide"))
	for _, text := range []string{"ZeroDivisionError", "division by zero", "app.py line 32 in divide", "return str(dividend / divisor)"} {
		b.shows(text)
	}
	if eval[bool](b, "document.body.innerText.includes('dividend\\t')") {
		t.Error("the variables are shown before anybody wants to see them")
	}
	b.until("document.readyState == 'complete'")
	if err := chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS(".frame details summary"))); err != nil {
		t.Fatal(err)
	}
	b.shows("dividend\t42")
	b.shows("divisor\t0")

	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		call(b, permissions.SetPermission, permissions.SetPermissionParams{
			Permission: &permissions.PermissionDescriptor{Name: name}, Setting: permissions.PermissionSettingGranted, BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID,
		})
	}
	call(b, page.BringToFront, cdp.Empty{})
	if err := chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS("#copy"))); err != nil {
		t.Fatal(err)
	}
	b.shows("Copied")
	text := eval[string](b, "navigator.clipboard.readText()")
	if !strings.HasPrefix(text, "Traceback (most recent call last):\n") || !strings.HasSuffix(text, "\nZeroDivisionError: division by zero") {
		t.Errorf("copied: %s", text)
	}

	b.listens()
	p.edit("app.py", "42, 0", "42, 2")
	b.shows("21.0")
	if c := b.complained(); strings.Count(c, "\n") > 0 || !strings.Contains(c, "status of 500") {
		t.Error(c)
	}
}
