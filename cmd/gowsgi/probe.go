package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gowsgi/gowsgi/gateway"
)

// probeTimeout is how long the answer to a probe may take.
const probeTimeout = 30 * time.Second

// probe asks the server for a path as a client would, before it has any other. An answer of 500 or more, or none, is an error.
func probe(server *gateway.Server, path string) error {
	ln, err := net.Listen("unix", fmt.Sprintf("@gowsgi-probe-%d", os.Getpid()))
	if err != nil {
		return err
	}
	go func() { _ = server.Serve(ln) }()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", ln.Addr().String())
		},
	}
	defer ln.Close()
	client := http.Client{Transport: transport, Timeout: probeTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	response, err := client.Get("http://localhost" + path)
	if err != nil {
		return fmt.Errorf("the app does not answer the probe of %s: %w", path, err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	if response.StatusCode >= 500 {
		return fmt.Errorf("the app answers the probe of %s with %s", path, response.Status)
	}
	return nil
}
