// Package py holds the Python sources that run in every interpreter of the host.
package py

import _ "embed"

// Host is the part of the host that is better said in Python.
//
//go:embed host.py
var Host string

// API is the module that apps import as gowsgi.
//
//go:embed gowsgi.py
var API string

// Preload is what a template process runs in the namespace of Host.
//
//go:embed preload.py
var Preload string
