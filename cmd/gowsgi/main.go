// Command gowsgi serves Python WSGI apps (PEP 3333) over HTTP, with CPython in the processes that speak HTTP.
//
//	gowsgi serve mysite.wsgi
//	gowsgi serve --mount /api=api:app mysite.wsgi
//	gowsgi check mysite.wsgi
//	gowsgi reload
//
// serve is a master process (master.go), which holds the listeners and looks after worker processes (worker.go): this program once more, with
// CPython. With --preload workers are forked from a template process, which is C before Go starts (pyhost/template).
//
// gowsgi --help lists the commands, gowsgi serve --help its flags. Exit codes: 0 fine, 1 any failure that is not below, 2 a wrong command
// line, 3 Python can't be loaded, 4 the app can't be loaded; or the code with which the app asked to exit.
package main

import (
	"os"

	"github.com/gowsgi/gowsgi/pyhost/template"
)

func main() {
	template.Main(func() int {
		if isWorker() {
			return runWorker(ownStderr())
		}
		return run(takeArgs(), os.Stdout, os.Stderr)
	})
}
