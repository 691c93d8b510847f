package privileges

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAccessFollowsThePermissionsOfTheFileAndOfEachFolderAboveIt(t *testing.T) {
	// A folder that everybody may enter: t.TempDir's parents are the test's alone.
	top, err := os.MkdirTemp("/tmp", "access")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	file, link := filepath.Join(top, "inner", "file"), filepath.Join(top, "link")
	for _, err := range []error{os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o640), os.Symlink(file, link)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const stranger = 54321
	self, group := os.Getuid(), os.Getgid()
	for name, c := range map[string]struct {
		id               Identity
		top, inner, mode os.FileMode // of the folders and of the file
		path             string
		want             uint32
		may              bool
	}{
		"others may read":                 {Identity{uid: stranger}, 0o755, 0o755, 0o644, file, unix.R_OK, true},
		"others may not write":            {Identity{uid: stranger}, 0o755, 0o755, 0o644, file, unix.R_OK | unix.W_OK, false},
		"the group may read":              {Identity{uid: stranger, groups: []int{group}}, 0o755, 0o755, 0o640, file, unix.R_OK, true},
		"one outside the group may not":   {Identity{uid: stranger, groups: []int{stranger}}, 0o755, 0o755, 0o640, file, unix.R_OK, false},
		"a folder above is closed":        {Identity{uid: stranger}, 0o700, 0o755, 0o644, file, unix.R_OK, false},
		"the folder is closed":            {Identity{uid: stranger}, 0o755, 0o700, 0o644, file, unix.R_OK, false},
		"a link leads to a closed folder": {Identity{uid: stranger}, 0o755, 0o700, 0o644, link, unix.R_OK, false},
		"a link that may be followed":     {Identity{uid: stranger}, 0o755, 0o755, 0o644, link, unix.R_OK, true},
		"root may all":                    {Identity{uid: 0}, 0o755, 0o755, 0o600, file, unix.R_OK | unix.W_OK, true},
		"the owner's bits count for it":   {Identity{uid: self, groups: []int{group}}, 0o755, 0o755, 0o200, file, unix.R_OK, self == 0},
	} {
		for path, mode := range map[string]os.FileMode{file: c.mode, filepath.Dir(file): c.inner} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(top, c.top); err != nil {
			t.Fatal(err)
		}
		err := c.id.Access(c.path, c.want)
		if (err == nil) != c.may || err != nil && !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s: %v", name, err)
		}
		if err := errors.Join(os.Chmod(top, 0o755), os.Chmod(filepath.Dir(file), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&Identity{uid: stranger}).Access(filepath.Join(top, "missing"), unix.R_OK); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
