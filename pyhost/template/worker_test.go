//go:build cgo

package template

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/pyhost"
)

// question is what a test asks a worker, answer what comes back.
type question struct {
	Open    bool // open the host with Python and Dir, load Specs, start
	Python  pyhost.Python
	Dir     string
	Specs   []string
	Get     string // a path, of the app App
	App     int
	Signals bool // what Go's Notify got of SIGTERM
}

type answer struct {
	Text, Error, Traceback string
	Args                   []string
	Apps                   []int
	Specs                  []string
}

// serve answers questions that come on descriptor 3 until that ends.
func serve() int {
	f := os.NewFile(3, "questions")
	conn, err := net.FileConn(f)
	if err != nil {
		fmt.Fprintln(os.Stderr, "descriptor 3 is no socket:", err)
		return 1
	}
	_ = f.Close()
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, syscall.SIGTERM)
	var h *pyhost.Host
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	for {
		var q question
		if err := in.Decode(&q); err != nil {
			if h != nil {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				_ = h.Shutdown(ctx)
			}
			return 0
		}
		var a answer
		switch {
		case q.Open:
			a.Args = os.Args
			if h, err = pyhost.Open(pyhost.Options{
				Python: q.Python, Dir: q.Dir, Threads: 2, Multiprocess: true, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
			}); err == nil {
				for _, spec := range q.Specs {
					var n int
					if n, err = h.Load(spec); err != nil {
						break
					}
					a.Apps = append(a.Apps, n)
				}
			}
			if err == nil {
				err = h.Start()
			}
			if err == nil {
				for _, app := range h.Info().Apps {
					a.Specs = append(a.Specs, app.Spec)
				}
			}
		case q.Signals:
			select {
			case s := <-terms:
				a.Text = s.String()
				h.HandleSignal(s.(syscall.Signal))
			case <-time.After(patience):
				err = errors.New("no SIGTERM came")
			}
		default:
			a.Text, err = get(h, q.App, q.Get)
		}
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return 1
		}
	}
}

type sinkFunc func(pyhost.Exchange)

func (f sinkFunc) ExchangeReady(x pyhost.Exchange) { f(x) }

// get sends one request to an app and returns the body.
func get(h *pyhost.Host, app int, path string) (string, error) {
	x := h.NewExchange()
	var rec []byte
	for _, kv := range [][2]string{
		{"REQUEST_METHOD", "GET"}, {"SCRIPT_NAME", ""}, {"PATH_INFO", path}, {"RAW_URI", path}, {"QUERY_STRING", ""}, {"SERVER_NAME", "x"},
		{"SERVER_PORT", "80"}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"wsgi.url_scheme", "http"},
	} {
		rec = pyhost.AppendPair(rec, kv[0], kv[1])
	}
	var body bytes.Buffer
	var out pyhost.Output
	done := make(chan bool, 1)
	ended := false
	if err := x.Submit(&pyhost.Request{App: app, Environ: rec}, sinkFunc(func(x pyhost.Exchange) {
		if ended {
			return
		}
		out.Chunks = out.Chunks[:0]
		x.Take(&out)
		for _, c := range out.Chunks {
			body.Write(c.Data)
		}
		x.Sent(len(out.Chunks))
		if out.Done {
			ended = true
			done <- out.Failed
		}
	})); err != nil {
		return "", err
	}
	select {
	case failed := <-done:
		x.Release()
		if failed {
			return body.String(), errors.New("the app failed")
		}
		return body.String(), nil
	case <-time.After(patience):
		return "", errors.New("no answer")
	}
}
