package watch

import (
	"os"
	"path/filepath"
	"strings"
)

// environment is the file that makes a folder a virtual environment (PEP 405).
const environment = "pyvenv.cfg"

// skipped tells whether a folder in a root holds nobody's source. Hidden ones are those of repositories, editors and tools.
func (w *Watcher) skipped(dir string) bool {
	if w.isRoot(dir) {
		return false
	}
	name := filepath.Base(dir)
	switch name {
	case "node_modules", "__pycache__", "venv", "site-packages":
		return true
	}
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".egg-info") {
		return true
	}
	_, err := os.Lstat(filepath.Join(dir, environment))
	return err == nil
}

// The ends of files that nobody imports: compiled, an editor's (Emacs, Vim, JetBrains), databases with their journals, logs.
var ignoredEnds = []string{
	".pyc", ".pyo", "~", "#", ".swp", ".swo", ".swx", ".tmp", "___jb_tmp___", "___jb_old___", ".log",
	".sqlite", ".sqlite3", ".db", "-journal", "-wal", "-shm",
}

// ignored tells of a file in a folder whether nobody imports it.
func ignored(name string) bool {
	for _, end := range ignoredEnds {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	if strings.HasPrefix(name, ".") {
		return !strings.HasPrefix(name, ".env") && name != ".flaskenv"
	}
	return name == "4913" // Vim's question whether it may write here
}
