// Package devpy is the Python side of gowsgi dev: modules that run in a worker, around the app.
package devpy

import (
	"embed"

	"github.com/gowsgi/gowsgi/pyhost"
)

//go:embed errors.py errors_hints.py errors_page.py errors_values.py
//go:embed pages.py pages_csp.py pages_django.py pages_folders.py preload.py dev.py
var files embed.FS

// stems are the files without .py, in the order in which the modules are made. The last is the module _gowsgi_dev, errors is
// _gowsgi_dev_errors.
var stems = [...]string{"errors_values", "errors_hints", "errors_page", "errors", "pages_csp", "pages_django", "pages_folders", "pages", "preload", "dev"}

// Modules are the modules. They run on every CPython that pyhost loads.
func Modules() (all []pyhost.Module) {
	for _, stem := range stems {
		text, err := files.ReadFile(stem + ".py")
		if err != nil {
			panic(err) // it was not compiled in
		}
		name := "_gowsgi_dev"
		if stem != "dev" {
			name += "_" + stem
		}
		all = append(all, pyhost.Module{Name: name, Text: string(text)})
	}
	return all
}

// Functions of the modules, for [pyhost.Host.Ask]; each takes and gives JSON.
const (
	// Preload imports modules of the framework, in the template. It takes a [Preloading]; where modules must not be imported there, it raises,
	// and the exception's text has their names, a line each: a new process is to begin without them.
	Preload = "_gowsgi_dev_preload.preload"
	// Configure takes [Settings], before the app is loaded.
	Configure = "_gowsgi_dev.configure"
	// Describe gives a [Description], after the app was loaded.
	Describe = "_gowsgi_dev.describe"
	// Classify takes paths of files that were changed, and gives a [Meaning].
	Classify = "_gowsgi_dev.classify"
)

// Preloading is what Preload takes.
type Preloading struct {
	Modules []string // in this order
	Skip    []string // of these
	Own     []string // names of the project's own top-level modules, which nobody may import
	Environ []string // variables of the environment that the project sets
}

// Settings are what Configure takes.
type Settings struct {
	Generation int64    // of the worker; each has another
	Dir        string   // the project's folder
	Inject     bool     // the script goes into pages
	Static     []string // folders with static files that the server serves
	Broken     string   // not "": the app is not loaded, and this is why
}

// Description is what a worker says of the app.
type Description struct {
	Framework string
	Broken    string   // why the app can't be loaded, in one line; "" where it was
	Missing   string   // the module that is not there, if that is why
	Modules   []string // that were imported and are not the project's, in the order of their import
	Own       []string // top-level modules of the project, and those that it has put in the place of others
	Environ   []string // variables of the environment that changed while the app was loaded
	Watch     []string // folders with the project's code, templates and other files
	Packages  []string // folders that packages are installed into
}

// Meaning is what changed files mean.
type Meaning struct {
	Reload    bool     // the code is to be loaded anew
	Page      bool     // open pages are to be loaded anew
	CSS       []string // names of style sheets that open pages are to fetch anew
	Debugging bool     // somebody is in the debugger just now
}
