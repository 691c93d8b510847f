// Package deploypy has the Python side of gowsgi check --deploy: it looks at the apps that are loaded and at what their frameworks are set to.
package deploypy

import (
	_ "embed"

	"github.com/gowsgi/gowsgi/pyhost"
)

// Findings is the function to ask: [Server] as JSON for a list of [Finding] as JSON.
const Findings = "_gowsgi_deploy.findings"

//go:embed deploy.py
var deploy string

//go:embed deploy_django.py
var django string

//go:embed deploy_database.py
var database string

//go:embed deploy_static.py
var static string

//go:embed deploy_flask.py
var flask string

// Modules are those that a host needs for that.
func Modules() []pyhost.Module {
	return []pyhost.Module{
		{Name: "_gowsgi_deploy", Text: deploy},
		{Name: "_gowsgi_deploy_database", Text: database},
		{Name: "_gowsgi_deploy_static", Text: static},
		{Name: "_gowsgi_deploy_django", Text: django},
		{Name: "_gowsgi_deploy_flask", Text: flask},
	}
}

// Server is what the Python side is told of the server.
type Server struct {
	Apps, Prefixes   []string // as they were loaded, and where they are mounted
	Workers, Threads int
	Seconds          float64  // for all that it looks at
	HTTPS            bool     // a listener speaks TLS
	OnlyHTTPS        bool     // each speaks TLS or redirects to one that does
	Trusted          bool     // there are trusted proxies
	Scheme           bool     // and they tell the scheme
	Hidden           []string // the header fields of proxies that don't reach the app, in lower case; "x-forwarded-*" is all that begin so
	StaticFromApp    bool
	Static           []string // prefixes of --static
}

// Finding is one thing that would go wrong.
type Finding struct {
	Level string // "error", "warning" or "note"
	Where string // the settings, the app, the flag
	What  string
	Mend  string
}
