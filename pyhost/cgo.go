//go:build cgo

package pyhost

// No -Werror: a newer compiler's warnings must not break the build of those who import this package.

/*
#cgo CFLAGS: -O2 -Wall -Wextra -std=gnu11
#cgo LDFLAGS: -ldl -lpthread
*/
import "C"
