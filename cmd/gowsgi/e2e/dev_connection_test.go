package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

func TestPagesWithAContentSecurityPolicyAreLoadedAnew(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{})
	tabs := map[string]*tab{}
	for _, policy := range []string{"script-src 'nonce-abc'", "default-src 'self'", "default-src 'none'", "script-src 'strict-dynamic' 'nonce-abc'; connect-src 'none'; default-src 'none'"} {
		tabs[policy] = openTab(t, p.url("/policy?policy="+strings.ReplaceAll(policy, " ", "%20")))
		tabs[policy].listens()
	}
	p.edit("words.py", "first", "second")
	for policy, b := range tabs {
		b.shows("second")
		b.listens()
		if c := b.complained(); c != "" {
			t.Errorf("%s: %s", policy, c)
		}
	}
}

func TestWithoutInjectionAPageStaysAsItIs(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{args: []string{"--no-inject"}})
	b := openTab(t, p.url("/"))
	b.shows("first")
	p.edit("words.py", "first", "second")
	p.until("/", "second")
	if eval[int](b, "document.scripts.length + streams.length") != 0 {
		t.Error("there is a script in the page")
	}
	b.shows("first")
}

// As with a service worker that answers out of its cache.
func TestAPageThatStaysOldIsNotLoadedForEver(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{args: []string{"--no-inject"}})
	b := openTab(t, p.url("/old"))
	b.until("JSON.parse(sessionStorage.gowsgi).times == 4 && streams[0].readyState == 1")
	eventually(t, "four requests", func() bool { return p.countLog("GET /old") >= 4 })
	if n := p.countLog("GET /old"); n != 4 {
		t.Errorf("the page was loaded %d times", n)
	}
}

func TestAnOpenPageOverHTTPSFollowsTheCode(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{args: []string{"--https"}, env: []string{"HOME=" + t.TempDir(), "XDG_DATA_HOME=" + t.TempDir()}})
	b := openTab(t, "https://"+p.addr+"/")
	b.listens()
	if protocol := eval[string](b, "performance.getEntriesByType('navigation')[0].nextHopProtocol"); protocol != "h2" {
		t.Errorf("the protocol is %s", protocol)
	}
	p.edit("words.py", "first", "second")
	b.shows("second")
}

func TestAPageThatIsNotSeenHoldsNoConnectionAndIsLoadedAnewWhenItIsSeen(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{})
	first := openTab(t, p.url("/"))
	first.listens()
	last := first
	for range 7 { // a browser opens six connections to a server
		last = last.beside(p.url("/"))
		last.listens()
	}
	first.until("document.visibilityState == 'hidden' && streams.every(s => s.readyState == 2)")
	p.edit("words.py", "first", "second")
	last.shows("second")
	first.shows("first")
	call(first, page.BringToFront, cdp.Empty{})
	first.shows("second")
}

func TestAPageOfManyFramesIsLoaded(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{})
	b := openTab(t, p.url("/frames"))
	b.listens()
	b.until("frames.length == 8")
	each := "[...Array(8).keys()].every(i => frames[i].document.body && %s)"
	b.until(fmt.Sprintf(each, "frames[i].document.body.innerText.includes('page one')"))
	b.mark()
	p.edit("static/site.css", "1, 1, 1", "2, 2, 2")
	b.until(fmt.Sprintf(each, "frames[i].getComputedStyle(frames[i].document.querySelector('p')).color == 'rgb(2, 2, 2)'"))
	if !b.marked() {
		t.Error("the page was loaded anew for a style sheet")
	}
	p.edit("templates/page.html", "one", "two")
	b.until(fmt.Sprintf(each, "frames[i].document.body.innerText.includes('page two')"))
}

func TestAPageOutOfTheBackForwardCacheIsLoadedAnew(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{})
	b := openTab(t, p.url("/"))
	b.mark()
	b.open(p.url("/page"))
	b.listens()
	eval[any](b, "history.back()")
	b.shows("first")
	if !b.marked() {
		t.Log("the browser has not kept the page")
	}
	b.until("streams.some(s => s.readyState == 1)")
	p.edit("words.py", "first", "second")
	b.shows("second")

	b.mark()
	b.open(p.url("/page"))
	b.listens()
	p.edit("words.py", "second", "third")
	p.until("/", "third")
	eval[any](b, "history.back()")
	b.shows("third")
}

func TestAPageIsLoadedAnewWhileItIsWrittenInAndStaysWhereItIsScrolledTo(t *testing.T) {
	t.Parallel()
	p := dev(t, browsedProject(t), options{})
	b := openTab(t, p.url("/"))
	b.listens()
	if err := chromedp.Do(b.ctx, chromedp.SendKeys(chromedp.CSS("input"), "some text")); err != nil {
		t.Fatal(err)
	}
	eval[any](b, "scrollTo(0, 1500)")
	b.until("scrollY == 1500")
	p.edit("words.py", "first", "second")
	b.shows("second")
	b.until("scrollY == 1500")
}

func TestAPageComesBackWhenTheServerDoes(t *testing.T) {
	t.Parallel()
	dir := browsedProject(t)
	p := dev(t, dir, options{})
	b := openTab(t, p.url("/"))
	b.mark()
	p.signal(t, syscall.SIGTERM)
	p.waitExit(t)
	b.until("streams.length > 2") // it has tried again
	save(t, filepath.Join(dir, "words.py"), "GREETING = 'another day'\n")
	_, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	dev(t, dir, options{args: []string{"--port", port}})
	began := time.Now()
	b.shows("another day")
	t.Logf("the page was there after %v", time.Since(began))
}
