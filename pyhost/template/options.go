package template

import (
	"log/slog"
	"os"

	"github.com/gowsgi/gowsgi/pyhost"
)

// Options say what a template imports. The workers' hosts are opened with the same Python, Args, Dir and Multiprocess.
type Options struct {
	// Python, Args, Dir and Multiprocess are those of [pyhost.Options]. Dir becomes the current folder.
	Python       pyhost.Python
	Args         []string
	Dir          string
	Multiprocess bool
	// Modules are those of [pyhost.Options], and Calls are made next; a function that raises is a failed start, with an *[pyhost.AppError] whose Spec
	// is the function and whose Reason is the exception's text.
	Modules []pyhost.Module
	Calls   []Call
	// Apps are imported in this order.
	Apps []App
	// Warmup are paths, with or without a query, that are asked for after the import, by GET, each of the app that is mounted there. An
	// exception, or an answer of 500 or more, is a failed start.
	Warmup []string
	// Force goes on where the app has threads after its import, which the workers then don't have.
	Force bool
	// Stdin has the workers keep this process's standard input; else it is /dev/null. One that is to read a terminal there has to join this
	// process's group (setpgid(2)): each begins with a group of its own, so that no Ctrl-C ends it before it takes signals.
	Stdin bool
	// Files is how many descriptors each Fork passes, 1 to 250. Their numbers are kept free while the apps are imported.
	Files int
	// Logger gets what the apps log until they are forked; slog.Default where nil.
	Logger *slog.Logger
	// Stdout and Stderr are those of the template and its workers; this process's own where nil.
	Stdout, Stderr *os.File
	// Child calls start, which starts the template and returns its process id, and Ended is told when that has been waited for: for a program
	// that collects orphans and has to know its children. Both may be nil.
	Child func(start func() (pid int, err error)) error
	Ended func(pid int)
}

// Call is one of a function of a Python module, "module.function", with a str.
type Call struct{ Function, Text string }

// App is an app and where it is mounted: "" or "/prefix".
type App struct{ Prefix, Spec string }
