package project

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// maxFile is how much of a file is read, in bytes.
const maxFile = 1 << 20

// read reads the first maxFile bytes of a regular file, or of what a link to one names. Nothing else is opened: a pipe would never end.
func read(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// source is what is known of a Python file, nil where it can't be read.
func (f *finder) source(path string) *source {
	if path == "" {
		return nil
	}
	if s, known := f.sources[path]; known {
		return s
	}
	data, err := read(path)
	var s *source
	if err == nil {
		s = parseSource(data)
	} else if !errors.Is(err, fs.ErrNotExist) {
		f.warn("can't read %s: %v", f.relative(path), cause(err))
	}
	f.sources[path] = s
	return s
}

// question is about a name in a file, where root is first on sys.path.
type question struct{ what, root, path, name string }

// ask answers a question once: imports may go in circles. What is asked of a file that can't be read, or of none, has the answer "".
func (f *finder) ask(q question, answer func(*source) string) string {
	known, ok := f.answers[q]
	if ok || q.path == "" {
		return known
	}
	f.answers[q] = ""
	if src := f.source(q.path); src != nil {
		f.answers[q] = answer(src)
	}
	return f.answers[q]
}

// cause is an error without the path, which the text around it names.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func (f *finder) warn(format string, a ...any) {
	if text := fmt.Sprintf(format, a...); !slices.Contains(f.warnings, text) {
		f.warnings = append(f.warnings, text)
	}
}

// relative is a path as people see it from the project's folder.
func (f *finder) relative(path string) string {
	if r, err := filepath.Rel(f.dir, path); err == nil && filepath.IsLocal(r) {
		return r
	}
	return path
}

var moduleName = lazyregexp.New(`^` + identifier + `(?:\.` + identifier + `)*$`)

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// resolve is the file of a module where dir is on sys.path, "" where it has none there.
func resolve(dir, module string) string {
	if !moduleName().MatchString(module) {
		return ""
	}
	base := filepath.Join(dir, strings.ReplaceAll(module, ".", "/"))
	// A package counts before a module of its name.
	for _, path := range []string{filepath.Join(base, "__init__.py"), base + ".py"} {
		if isFile(path) {
			return path
		}
	}
	return ""
}

// imported is the file that "import module" in the file at path gets, and that file's folder for its submodules; "" for what is not of the
// project. root is first on sys.path; the project's other roots may be there too, where it is installed in its virtualenv.
func (f *finder) imported(root, path, module string) (file, folder string) {
	name := strings.TrimLeft(module, ".")
	if dots := len(module) - len(name); dots > 0 {
		root = filepath.Dir(path)
		for range dots - 1 {
			root = filepath.Dir(root)
		}
		if name == "" {
			if file = filepath.Join(root, "__init__.py"); !isFile(file) {
				file = ""
			}
			return file, root
		}
	}
	if !moduleName().MatchString(name) {
		return "", ""
	}
	for _, other := range f.roots() {
		if resolve(root, name) == "" && resolve(other, name) != "" {
			root = other
		}
	}
	return resolve(root, name), filepath.Join(root, strings.ReplaceAll(name, ".", "/"))
}

// folders are those in dir that may be of the project, by their names in order.
func folders(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var found []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") || slices.Contains(foreign, e.Name()) || !isDir(path) || isFile(filepath.Join(path, "pyvenv.cfg")) {
			continue
		}
		found = append(found, path)
	}
	return found
}

// foreign are folders without apps of the project.
var foreign = []string{"__pycache__", "node_modules", "site-packages", "build", "dist", "tests", "test", "docs"}
