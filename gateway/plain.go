package gateway

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// appendPlain appends a whole response of the server's own: the status as text, nothing that a cache may keep and nothing of the app's.
func appendPlain(dst []byte, code int, head, http10, keepAlive bool) []byte {
	return appendPlainOf(dst, code, nil, head, http10, keepAlive)
}

// appendPlainOf is appendPlain for a request that has an id, where it is not nil.
func appendPlainOf(dst []byte, code int, id []byte, head, http10, keepAlive bool) []byte {
	reason := fasthttp.StatusMessage(code)
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, ' ')
	dst = append(dst, reason...)
	dst = append(dst, "\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"...)
	dst = appendDate(dst)
	if code == 503 {
		dst = append(dst, "Retry-After: 1\r\n"...)
	}
	if id != nil {
		dst = appendRequestID(dst, id)
	}
	dst = append(dst, "Server: "+serverName+"\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len("500 \n")+len(reason)), 10)
	dst = append(dst, "\r\n"...)
	dst = appendConnection(dst, http10, keepAlive)
	if !head {
		dst = strconv.AppendInt(dst, int64(code), 10)
		dst = append(dst, ' ')
		dst = append(dst, reason...)
		dst = append(dst, '\n')
	}
	return dst
}

// dateLine is a Date field and the second it is for.
type dateLine struct {
	second int64
	text   []byte
}

var lastDate atomic.Pointer[dateLine]

// appendDate appends a Date field (RFC 9110 section 6.6.1), made once a second.
func appendDate(dst []byte) []byte {
	now := time.Now()
	d := lastDate.Load()
	if d == nil || d.second != now.Unix() {
		text := append(make([]byte, 0, 40), "Date: "...)
		text = append(fasthttp.AppendHTTPDate(text, now), "\r\n"...)
		d = &dateLine{now.Unix(), text}
		lastDate.Store(d)
	}
	return append(dst, d.text...)
}
