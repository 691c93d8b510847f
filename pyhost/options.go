package pyhost

import (
	"log/slog"
	"syscall"
	"time"
)

// Options say how a host is made.
type Options struct {
	// Python is the interpreter; see [Discover].
	Python Python
	// Args are options of the python command: -X, -W, -O and so on. One word each ("-X", "dev").
	Args []string
	// Dir is the folder that is first on sys.path; made absolute, the current one where empty.
	Dir string
	// Threads is how many Python threads run apps, 16 where 0.
	Threads int
	// Logger gets the app's wsgi.errors, tracebacks and the host's own lines; slog.Default where nil.
	Logger *slog.Logger
	// SpoolDir is where long responses wait for slow clients, in files without a name; os.TempDir where empty.
	SpoolDir string
	// SpoolLimit is how many bytes of one response may wait there before its Python thread does, 64 MiB where 0.
	SpoolLimit int64
	// OnStuck, where set, is called when a thread did not come back from a request whose deadline had passed (see Request.Timeout): lost is how
	// many are away just now. Another thread takes the place of each. Calls are on a goroutine of the host's, one at a time; so are OnGILHeld's.
	OnStuck func(lost int)
	// GILTimeout is for how long one thread may hold the GIL inside C code, which stops all others, while requests wait. Then stacks are
	// logged, requests in the app report Output.TimedOut, those that wait and those that come report Output.Refused, until the GIL is free
	// again, and OnGILHeld is called. 0: for ever. It does nothing on a free-threaded build.
	GILTimeout time.Duration
	// OnGILHeld, where set, is told for how long the GIL was not to be had, once each time.
	OnGILHeld func(d time.Duration)
	// Modules are Python modules of the program's own, made before any app is imported, in this order. [Host.Ask] calls their functions.
	Modules []Module
	// Multiprocess is wsgi.multiprocess: whether other processes serve the same app.
	Multiprocess bool
	// Signals are those that the program receives with signal.Notify. They stay Go's when the app sets handlers of its own, which
	// [Host.HandleSignal] then calls. SIGINT and SIGTERM where nil. All others are the app's, but for those that Go's runtime needs.
	Signals []syscall.Signal
}

// Module is a Python module whose source is in the program. One that sets _gowsgi_host.loader has apps loaded by that function: it is called as
// loader(spec, find), on Python's main thread, and returns the app, for instance what find(spec) returns.
type Module struct {
	Name string // in sys.modules; frames of its code are left out of tracebacks
	Text string
}

// Info is what a started interpreter says of itself.
type Info struct {
	// Version is three numbers with dots; Library is the libpython that was loaded; Prefix and Executable are sys.prefix and
	// sys.executable.
	Version, Library, Prefix, Executable string
	// FreeThreaded says that there is no GIL. An extension module can switch it back on.
	FreeThreaded bool
	// Apps are the loaded apps by their number.
	Apps []AppInfo
}

// StaticFolder is a folder with static files of an app.
type StaticFolder struct {
	// URL is the path that they are under: with a slash before it from the site's root, without one from where the app is mounted.
	URL string
	// Dir is the folder, absolute.
	Dir string
}

// AppInfo is what is known of an app.
type AppInfo struct {
	// Spec is the app as it was given to Load.
	Spec string
	// Framework is "Django 5.2", "Flask 3.1.2" and so on, "" where it is none that is known.
	Framework string
}
