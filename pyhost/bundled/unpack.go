//go:build bundled

package bundled

import (
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kluctl/go-embed-python/pip"
	"github.com/kluctl/go-embed-python/python"
)

//go:embed ensurepip/*.py
var ensurepip embed.FS

// unpack makes a whole CPython in dir, which does not exist yet: the packed one, which has no pip and no ensurepip, and those two.
func unpack(dir string) error {
	if _, err := python.NewEmbeddedPythonWithTmpDir(dir, false); err != nil {
		return err
	}
	if err := os.Remove(dir + ".lock"); err != nil { // The module's; ours is already held.
		return err
	}
	if err := relink(dir); err != nil {
		return err
	}
	lib := filepath.Join(dir, "lib", "python"+majorMinor())
	if err := os.CopyFS(lib, ensurepip); err != nil {
		return err
	}
	return unpackPip(filepath.Join(lib, "site-packages"))
}

// relink makes links again of what the module unpacked as further copies of a file, 29 MB each.
func relink(dir string) error {
	xy := majorMinor()
	for link, file := range map[string]string{
		"bin/python": "python" + xy, "bin/python3": "python" + xy, "lib/libpython" + xy + ".so": "libpython" + xy + ".so.1.0",
	} {
		link = filepath.Join(dir, link)
		if _, err := os.Stat(filepath.Join(filepath.Dir(link), file)); err != nil {
			return fmt.Errorf("the packed Python is not %s: %w", xy, err)
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Symlink(file, link); err != nil {
			return err
		}
	}
	return nil
}

// unpackPip copies pip to site. The module can only unpack it under the temporary folder; nobody can guess the name there.
func unpackPip(site string) error {
	lib, err := pip.NewPipLib(rand.Text())
	if err != nil {
		return err
	}
	from := lib.GetExtractedPath()
	defer os.Remove(from + ".lock")
	defer os.RemoveAll(from)
	for _, name := range []string{"pip", "pip-*.dist-info"} {
		found, err := filepath.Glob(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return fmt.Errorf("the packed pip has %d of %s", len(found), name)
		}
		if err := os.CopyFS(filepath.Join(site, filepath.Base(found[0])), os.DirFS(found[0])); err != nil {
			return err
		}
	}
	return nil
}
