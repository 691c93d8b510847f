// Package bundled is the CPython that a program can carry inside itself (build tag bundled, module github.com/kluctl/go-embed-python,
// which packs python-build-standalone). Built without the tag, the package is empty and says so by [Included].
//
// The interpreter is unpacked once, to <user's cache folder>/gowsgi/cpython-<version>-<hash>, or to a private folder of the temporary one
// where there is no cache folder that can be written. The tree that stands there under its final name is always whole: it is unpacked beside
// it, listed with the SHA-256 of each file, and renamed; several processes that start at once wait for the one that unpacks. Each
// start compares sizes and modes with the list (3 ms) and unpacks again where they differ; [Verify] compares the hashes.
package bundled

import "errors"

// ErrNotBundled is returned by a program that was built without the tag.
var ErrNotBundled = errors.New("bundled: this program was built without a Python of its own; build it with -tags bundled (make bundled)")
