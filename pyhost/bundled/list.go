package bundled

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// listName is the list of a tree's files. It is written last, so a tree without it was never whole.
const listName = ".gowsgi-files.json"

// entry is a file or a symbolic link. Folders are not listed, nor files that are added later (__pycache__).
type entry struct {
	Path string
	Mode fs.FileMode
	Size int64
	// Sum is the file's SHA-256, or what the link points to.
	Sum string
}

// list is the entries and the SHA-256 of their JSON, which tells a list that was cut short.
type list struct {
	Entries json.RawMessage
	Sum     string
}

func writeList(dir string) error {
	var entries []entry
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		sum, err := sumOf(path, st.Mode())
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		entries = append(entries, entry{rel, st.Mode(), st.Size(), sum})
		return err
	})
	if err != nil {
		return err
	}
	b, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	h := sha256.Sum256(b)
	b, err = json.Marshal(list{b, hex.EncodeToString(h[:])})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, listName), b, 0o600)
}

func readList(dir string) ([]entry, error) {
	b, err := os.ReadFile(filepath.Join(dir, listName))
	if err != nil {
		return nil, err
	}
	var l list
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, err
	}
	if h := sha256.Sum256(l.Entries); hex.EncodeToString(h[:]) != l.Sum {
		return nil, errors.New("the list of files is damaged")
	}
	var entries []entry
	return entries, json.Unmarshal(l.Entries, &entries)
}

// compare says how the tree differs from its list in types, modes and sizes.
func compare(dir string) error {
	_, err := compared(dir)
	return err
}

func compared(dir string) ([]entry, error) {
	entries, err := readList(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		st, err := os.Lstat(filepath.Join(dir, e.Path))
		if err != nil {
			return nil, err
		}
		if st.Mode() != e.Mode || st.Size() != e.Size {
			return nil, fmt.Errorf("%s was changed", e.Path)
		}
	}
	return entries, nil
}

// compareHashes reads every file.
func compareHashes(dir string) error {
	entries, err := compared(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		sum, err := sumOf(filepath.Join(dir, e.Path), e.Mode)
		if err != nil {
			return err
		}
		if sum != e.Sum {
			return fmt.Errorf("%s was changed", e.Path)
		}
	}
	return nil
}

func sumOf(path string, mode fs.FileMode) (string, error) {
	if mode.Type() == fs.ModeSymlink {
		return os.Readlink(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, bufio.NewReaderSize(f, 1<<16)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
