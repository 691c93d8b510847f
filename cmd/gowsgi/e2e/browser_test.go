package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is the browser of all tests, started by the first that asks for it.
var chromium struct {
	sync.Once
	ctx  context.Context
	stop []context.CancelFunc
	err  error
}

// theBrowser gives the browser's context. Where there is none the test is skipped, or fails where CI is set.
func theBrowser(t testing.TB) context.Context {
	t.Helper()
	if sanitized {
		t.Skip("what a browser shows has nothing to do with the sanitized C")
	}
	path, err := exec.LookPath("google-chrome")
	if err != nil {
		path = tool(t, "chromium", "chromium")
	}
	c := &chromium
	c.Do(func() {
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.IgnoreCertErrors,
			chromedp.UserDataDir(filepath.Join(tmp, "chromium")), chromedp.WindowSize(1200, 900), chromedp.Env("HOME="+tmp))
		allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
		c.stop = append(c.stop, stop)
		c.ctx, stop = chromedp.NewContext(allocated)
		c.stop = append(c.stop, stop)
		c.err = chromedp.Do(c.ctx)
	})
	if c.err != nil {
		t.Fatalf("%s does not start: %v", path, c.err)
	}
	return c.ctx
}

// stopBrowser ends the browser, if there is one.
func stopBrowser() {
	for _, stop := range chromium.stop {
		defer stop()
	}
}

// tab is a page in the browser. A test uses it from one goroutine.
type tab struct {
	t   testing.TB
	ctx context.Context

	mu         sync.Mutex
	complaints []string // errors that the browser wrote to the page's console
}

// openTab opens a URL in a window of its own, with cookies, a cache and connections of its own.
func openTab(t testing.TB, url string) *tab {
	t.Helper()
	return newTab(t, theBrowser(t), url, chromedp.WithNewBrowserContext())
}

// beside opens a URL in the same window, which shows the new tab then.
func (b *tab) beside(url string) *tab {
	b.t.Helper()
	return newTab(b.t, b.ctx, url, chromedp.WithNewWindow(false))
}

func newTab(t testing.TB, parent context.Context, url string, o ...chromedp.ContextOption) *tab {
	t.Helper()
	b := &tab{t: t}
	var closeTab, timeout context.CancelFunc
	b.ctx, closeTab = chromedp.NewContext(parent, append(o, chromedp.WithListener(b.hear))...)
	t.Cleanup(closeTab)
	b.ctx, timeout = context.WithTimeout(b.ctx, 5*time.Minute)
	t.Cleanup(timeout)
	// What the page opens is kept, for the tests to look at.
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `
		window.streams = [];
		window.EventSource = class extends EventSource { constructor(...args) { super(...args); streams.push(this); } };`})
	b.open(url)
	return b
}

// hear takes note of what the browser complains of.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || strings.Contains(e.Entry.Text, "Content Security Policy") {
			b.complaints = append(b.complaints, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	}
}

// complained gives what hear took note of.
func (b *tab) complained() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.complaints, "\n")
}

// open shows a URL, and waits until it is loaded.
func (b *tab) open(url string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(url)); err != nil {
		b.t.Fatalf("%s: %v", url, err)
	}
}

// call sends a command of the DevTools protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// eval gives the value of an expression, which may be a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until an expression is true. While a page is loaded, none is.
func (b *tab) until(expression string) {
	b.t.Helper()
	var err error
	if !within(30*time.Second, func() bool {
		var ok bool
		ok, err = chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		return err == nil && ok
	}) {
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("location + ' ' + document.documentElement.outerHTML.slice(0, 3000)"))
		b.t.Fatalf("never: %s (%v)\n%s\n%s", expression, err, b.complained(), text)
	}
}

// shows waits for a text in the page.
func (b *tab) shows(text string) {
	b.t.Helper()
	b.until("document.body.innerText.includes(`" + text + "`)")
}

// listens waits until the page listens for changes: those before come to it in other ways.
func (b *tab) listens() {
	b.t.Helper()
	b.until("document.readyState == 'complete' && streams.some(s => s.readyState == 1)")
}

// mark sets a variable in the page, which a reload would end.
func (b *tab) mark() {
	b.t.Helper()
	b.listens()
	eval[bool](b, "window.mark = true")
}

func (b *tab) marked() bool {
	b.t.Helper()
	return eval[bool](b, "Boolean(window.mark)")
}
