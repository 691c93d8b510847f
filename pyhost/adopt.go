//go:build cgo

package pyhost

/*
#include "lifecycle.h"
*/
import "C"

import (
	"slices"
	"strings"
)

// preloaded says whether CPython runs since before Go's start.
func preloaded() bool { return C.ph_preloaded() != 0 }

// adopt makes the interpreter that runs already this host's, with the apps that were imported.
func (h *Host) adopt(c *C.ph_start_options) error {
	if reason := C.ph_adopt(c); reason != nil {
		return &StartError{Executable: h.options.Python.Executable, Reason: takeText(reason)}
	}
	var n C.size_t
	text := C.ph_preloaded_apps(&n)
	for spec := range strings.SplitSeq(C.GoStringN(text, C.int(n)), "\x00") {
		if spec != "" {
			h.specs = append(h.specs, spec)
		}
	}
	h.imported = slices.Clone(h.specs)
	return nil
}

// takeImported gives the number of an app that was imported before Go's start, each once.
func (h *Host) takeImported(spec string) (app int, ok bool) {
	app = slices.Index(h.imported, spec)
	if app < 0 {
		return -1, false
	}
	h.imported[app] = "" // no app's name
	return app, true
}

// postfork calls what the apps gave gowsgi.postfork.
func (h *Host) postfork() error {
	var e C.ph_app_error
	if C.ph_postfork(&e) == 0 {
		return nil
	}
	return &AppError{Spec: strings.Join(h.specs, ", "), Reason: takeText(e.reason), Traceback: takeText(e.traceback)}
}
