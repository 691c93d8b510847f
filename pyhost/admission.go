//go:build cgo

package pyhost

import _ "github.com/gowsgi/gowsgi/pyhost/internal/admission" // dispatch.c calls its C
