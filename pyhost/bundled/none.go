//go:build !bundled

package bundled

import "github.com/gowsgi/gowsgi/pyhost"

// Included says whether the program carries a Python.
const Included = false

// Version is the version of the Python in the program, "" where there is none.
func Version() string { return "" }

// Open unpacks the interpreter where it is not yet, and describes it.
func Open() (pyhost.Python, error) { return pyhost.Python{}, ErrNotBundled }

// Mend makes the unpacked tree whole again where home is its bin folder. It is made for pyhost.DiscoverOptions.
func Mend(home string) error { return nil }

// Verify compares every unpacked file with its hash, where home is the bin folder of the unpacked tree, and unpacks again where one differs.
// own is false for another home.
func Verify(home string) (own, mended bool, err error) { return false, false, nil }
