package main

import (
	"fmt"
	"strconv"

	"github.com/gowsgi/gowsgi/gateway"
)

// limitFlags bound what clients may do, beside the times and sizes of serveCmd. All but those of a request hold for each worker.
type limitFlags struct {
	LimitRequestLine      size            `default:"16k" placeholder:"SIZE" help:"The longest request line; a longer one is answered 414. Default: ${default}."`
	LimitRequestFields    int             `default:"256" placeholder:"N" help:"How many header fields a request may have; with more it is answered 431. Default: ${default}."`
	LimitRequestFieldSize size            `default:"64k" placeholder:"SIZE" help:"The longest header field; a longer one is answered 431. Default: ${default}."`
	LimitRequestHeader    size            `default:"64k" placeholder:"SIZE" help:"The longest header in all, without the request line; a longer one is answered 431. Default: ${default}."`
	MinBodyRate           size            `default:"240" placeholder:"SIZE" help:"How much of its body a client must send a second, on the average of each --body-timeout; else it is answered 408. 0: any rate will do. Default: ${default}."`
	MinWriteRate          size            `default:"240" placeholder:"SIZE" help:"How much of a response a client must take a second, on the average of each --write-timeout; else it is cut off. 0: any rate will do. Default: ${default}."`
	KeepaliveRequests     int             `placeholder:"N" help:"How many requests one connection may bring; then it is closed. Default: no limit."`
	MaxConnections        connectionLimit `placeholder:"N" help:"How many connections a worker may have. For one more, some without a request are closed; where there are none, it waits. Three quarters of the open files (ulimit -n) at most; 0: as many as that. Default: 16384."`
	MaxConnectionsPerIP   int             `name:"max-connections-per-ip" placeholder:"N" help:"How many connections a worker may have from one IPv4 address or IPv6 /64; one more is closed at once. Trusted proxies and unix sockets don't count. Default: no limit."`
	SpoolTotal            size            `default:"4g" placeholder:"SIZE" help:"How much disk all request bodies in a worker may take; one more is answered 503. 0: no limit. Default: ${default}."`
}

// connectionLimit is a number of connections: 0 where none is given, -1 for as many as there may be, which is written 0.
type connectionLimit int

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *connectionLimit) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no number of connections", text)
	}
	*l = connectionLimit(n)
	if n == 0 {
		*l = -1
	}
	return nil
}

// longestHeader is the most that the limits of a header can be: what is read of it is in memory.
const longestHeader = 1 << 20

func (f *limitFlags) check() error {
	for name, value := range map[string]int64{
		"limit-request-line": int64(f.LimitRequestLine), "limit-request-field-size": int64(f.LimitRequestFieldSize), "limit-request-header": int64(f.LimitRequestHeader),
	} {
		if value < 1 || value > longestHeader {
			return fmt.Errorf("--%s must be from 1 to %s", name, size(longestHeader))
		}
	}
	if f.LimitRequestFields < 1 || f.LimitRequestFields > 1000 {
		return fmt.Errorf("--limit-request-fields must be from 1 to 1000")
	}
	for name, value := range map[string]int{
		"keepalive-requests": f.KeepaliveRequests, "max-connections-per-ip": f.MaxConnectionsPerIP,
	} {
		if value < 0 {
			return fmt.Errorf("--%s must not be negative", name)
		}
	}
	return nil
}

// limitSettings are limitFlags as a worker is told them.
type limitSettings struct {
	RequestLine, Fields, FieldSize, Header        int
	BodyRate, WriteRate, Spool                    int64
	Requests, Connections, ConnectionsOfOneClient int
}

func (f *limitFlags) settings() limitSettings {
	return limitSettings{
		RequestLine: int(f.LimitRequestLine), Fields: f.LimitRequestFields, FieldSize: int(f.LimitRequestFieldSize), Header: int(f.LimitRequestHeader),
		BodyRate: unlimited(int64(f.MinBodyRate)), WriteRate: unlimited(int64(f.MinWriteRate)), Spool: unlimited(int64(f.SpoolTotal)),
		Requests: f.KeepaliveRequests, Connections: int(f.MaxConnections), ConnectionsOfOneClient: f.MaxConnectionsPerIP,
	}
}

func (l *limitSettings) set(s *gateway.Server) {
	s.MaxRequestLine, s.MaxHeaderFields, s.MaxHeaderFieldSize, s.MaxHeaderSize = l.RequestLine, l.Fields, l.FieldSize, l.Header
	s.MinBodyRate, s.MinWriteRate, s.MaxSpool = l.BodyRate, l.WriteRate, l.Spool
	s.MaxConnectionRequests, s.MaxConnections, s.MaxClientConnections = l.Requests, l.Connections, l.ConnectionsOfOneClient
}
