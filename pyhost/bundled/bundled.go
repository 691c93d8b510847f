//go:build bundled

package bundled

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gowsgi/gowsgi/pyhost"
)

// Included says whether the program carries a Python.
const Included = true

// packed is the module's version in go.mod; the CPython version is its middle. The module's content never changes under one version
// (go.sum), so it names what is unpacked.
const packed = "v0.0.0-3.14.6-20260610-1"

// Version is the version of the Python in the program.
func Version() string { return strings.Split(packed, "-")[1] }

// Open unpacks the interpreter where it is not yet, and describes it.
func Open() (pyhost.Python, error) {
	dir, err := open(name(), unpack)
	if err != nil {
		return pyhost.Python{}, err
	}
	return pyhost.Python{
		Executable: filepath.Join(dir, "bin", "python3"), Library: filepath.Join(dir, "lib", "libpython"+majorMinor()+".so.1.0"),
		Version: Version(), Prefix: dir, BasePrefix: dir, Bundled: true, Source: "bundled",
	}, nil
}

// Mend makes the unpacked tree whole again where home is its bin folder. It is made for pyhost.DiscoverOptions.
func Mend(home string) error {
	t, own := treeOf(home, name(), unpack)
	if !own {
		return nil
	}
	return t.ensure()
}

// Verify compares every unpacked file with its hash, where home is the bin folder of the unpacked tree, and unpacks again where one differs.
// own is false for another home.
func Verify(home string) (own, mended bool, err error) {
	t, own := treeOf(home, name(), unpack)
	if !own {
		return false, false, nil
	}
	mended, err = t.verify()
	return true, mended, err
}

func name() string {
	h := sha256.Sum256([]byte(packed + " " + runtime.GOARCH))
	return "cpython-" + Version() + "-" + hex.EncodeToString(h[:6])
}

func majorMinor() string { return Version()[:strings.LastIndexByte(Version(), '.')] }
