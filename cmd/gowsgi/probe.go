package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gowsgi/gowsgi/gateway"
)

// probeTimeout is how long the answer to a probe may take.
const probeTimeout = 30 * time.Second

// probe asks the server for a path as a client would, before it has any other. An answer of 500 or more, or none, is an error.
func probe(server *gateway.Server, path string) error {
	ours, theirs, err := socketPair() // no address: nobody else can get in
	if err != nil {
		return err
	}
	defer ours.Close()
	if err := server.Adopt(theirs); err != nil {
		return err
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return ours, nil },
	}
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
