// Command embed is a Go program with a Django site under /site, beside a route of its own, in one process.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gowsgi/gowsgi/gateway"
	"github.com/gowsgi/gowsgi/pyhost"
)

func main() {
	bind := flag.String("bind", "127.0.0.1:8000", "address to listen on")
	python := flag.String("python", "", "an interpreter or a virtualenv's folder; by default the active virtualenv, or the one beside the site")
	dir := flag.String("dir", "testdata/embed/site", "the Django site's folder")
	fast := flag.Bool("fasthttp", false, "serve with fasthttp instead of net/http")
	flag.Parse()
	if err := run(*bind, *python, *dir, *fast); err != nil {
		log.Fatal(err)
	}
}

func run(bind, python, dir string, fast bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	host, site, err := openSite(python, dir)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", bind)
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%s\n", ln.Addr())
	if fast {
		err = serveFastHTTP(ctx, ln, host, site)
	} else {
		err = serveHTTP(ctx, ln, host, site)
	}
	if err != nil {
		return err
	}
	// The requests are done: the site's atexit handlers and non-daemon threads may end.
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return host.Shutdown(end)
}

// openSite starts CPython and imports the Django site in dir.
func openSite(python, dir string) (*pyhost.Host, int, error) {
	interpreter, err := pyhost.Discover(pyhost.DiscoverOptions{Python: python, Dir: dir})
	if err != nil {
		return nil, 0, err
	}
	host, err := pyhost.Open(pyhost.Options{Python: interpreter, Dir: dir})
	if err != nil {
		return nil, 0, err
	}
	site, err := host.Load("pages:application")
	if err != nil {
		return nil, 0, err
	}
	return host, site, host.Start()
}

func serveHTTP(ctx context.Context, ln net.Listener, host *pyhost.Host, site int) error {
	mux := http.NewServeMux()
	mux.Handle("/site/", gateway.HTTPHandler(host, []gateway.Mount{{Prefix: "/site", App: site}}, gateway.HandlerOptions{}))
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello from Go") })

	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return serveUntil(ctx, func() error { return server.Serve(ln) }, server.Shutdown)
}

func serveFastHTTP(ctx context.Context, ln net.Listener, host *pyhost.Host, site int) error {
	django := gateway.Handler(host, []gateway.Mount{{Prefix: "/site", App: site}}, gateway.HandlerOptions{})
	server := &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			if string(ctx.Path()) == "/hello" {
				ctx.SetBodyString("hello from Go\n")
				return
			}
			django(ctx) // answers 404 for what is not under its prefix
		},
		// Header names go to the site and to clients as they are.
		DisableHeaderNamesNormalizing: true,
	}
	return serveUntil(ctx, func() error { return server.Serve(ln) }, server.ShutdownWithContext)
}

// serveUntil serves until ctx ends or the server fails. Requests in hand may take 10 s to finish.
func serveUntil(ctx context.Context, serve func() error, shutdown func(context.Context) error) error {
	failed := make(chan error, 1)
	go func() { failed <- serve() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return shutdown(end)
}
