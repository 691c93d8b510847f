package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/gowsgi/gowsgi"

// imports calls f for each import of each Go file of the module outside testdata: the file's folder, slash-separated from the module's
// root, and the import path. Whatever the build tags.
func imports(t *testing.T, f func(dir, file, path string)) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "build" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		files++
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, spec := range tree.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f(filepath.ToSlash(rel), name, imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Fatalf("only %d Go files were looked at", files)
	}
}

func under(dir, top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") }

func TestDependenciesRunFromCmdToGatewayToPyhostAndNeverBack(t *testing.T) {
	imports(t, func(dir, file, path string) {
		own, ok := strings.CutPrefix(path, modulePath+"/")
		if !ok || under(own, "testdata") && strings.HasSuffix(file, "_test.go") {
			return
		}
		switch {
		case under(dir, "pyhost") && !under(own, "pyhost"),
			under(dir, "gateway") && !under(own, "gateway") && !under(own, "pyhost"),
			under(own, "cmd") && !under(dir, "cmd"):
			t.Errorf("%s/%s imports %s", dir, file, path)
		}
	})
}

func TestOnlyPyhostHasC(t *testing.T) {
	found := false
	imports(t, func(dir, file, path string) {
		if path != "C" {
			return
		}
		found = true
		if !under(dir, "pyhost") {
			t.Errorf("%s/%s has C", dir, file)
		}
	})
	if !found {
		t.Error("no file was found that has C: the test looks at nothing")
	}
}

// pyhost knows no HTTP, and a process that hosts Python runs no programs through os/exec: an app may ignore SIGCHLD.
func TestPackagesThatAreKeptOut(t *testing.T) {
	kept := []struct{ top, path, why string }{
		{"pyhost", "net/http", "the host knows no HTTP"},
		{"pyhost", "github.com/valyala/fasthttp", "the host knows no HTTP"},
		{"gateway", "os/exec", "an app may ignore SIGCHLD, and then waiting for a program fails"},
		{"gateway", "github.com/alecthomas/kong", "flags are the command's"},
		{"pyhost", "github.com/alecthomas/kong", "flags are the command's"},
		{"cmd", modulePath + "/cmd/gowsgi/internal/acme/acmetest", "it is for tests, and has a whole certificate authority in it"},
		{"cmd", modulePath + "/cmd/gowsgi/internal/certs/certtest", "it is for tests"},
	}
	imports(t, func(dir, file, path string) {
		for _, k := range kept {
			if under(dir, k.top) && path == k.path && !strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s/%s imports %s: %s", dir, file, path, k.why)
			}
		}
	})
}
