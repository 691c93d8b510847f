// Command floor answers every request with 14 bytes through fasthttp and no Python: what HTTP alone costs. Usage: floor ADDRESS.
package main

import (
	"log"
	"os"

	"github.com/valyala/fasthttp"
)

func main() {
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("text/plain")
		ctx.SetBodyString("Hello, world!\n")
	}}
	log.Fatal(server.ListenAndServe(os.Args[1]))
}
