package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var matrix = flag.Bool("matrix", false, "run all tests on every CPython found")

// What the tests of this process run on.
var (
	root   string // of the repository
	binary string // the gowsgi under test
	python pythonUnderTest
	tmp    string // removed at the end
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if root, err = repositoryRoot(); err != nil {
		return fail(err)
	}
	if tmp, err = os.MkdirTemp("", "gowsgi-e2e-"); err != nil {
		return fail(err)
	}
	defer os.RemoveAll(tmp)
	if binary, err = buildBinary(); err != nil {
		return fail(err)
	}
	found, skipped := findPythons()
	if *matrix {
		return runMatrix(found, skipped)
	}
	if b := os.Getenv("GOWSGI_TEST_USE_BUNDLED"); b != "" {
		binary = b
		python, err = bundledPython(b)
	} else if len(found) == 0 {
		err = fmt.Errorf("no CPython 3.9 or newer with a shared libpython; skipped: %s", strings.Join(skipped, "; "))
	} else {
		python = found[len(found)-1]
		err = python.makeVenv()
	}
	if err != nil {
		return fail(err)
	}
	fmt.Printf("e2e: CPython %s, %s\n", python.version, python.interpreter)
	code := m.Run()
	stopBrowser()
	if problems := stopShared(); len(problems) > 0 {
		fmt.Println("--- FAIL: servers at their stop\n    " + strings.Join(problems, "\n    "))
		code = 1
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}

// runMatrix runs this test program once per Python, so that nothing is shared between the rows.
func runMatrix(found []pythonUnderTest, skipped []string) int {
	code, summary := 0, []string{}
	row := func(name string, env ...string) {
		fmt.Printf("=== MATRIX %s\n", name)
		args := []string{}
		for _, a := range os.Args[1:] {
			if a != "-matrix" && a != "--matrix" && a != "-matrix=true" {
				args = append(args, a)
			}
		}
		c := exec.Command(os.Args[0], args...)
		c.Env = append(os.Environ(), append(env, "GOWSGI_TEST_BINARY="+binary)...)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		result := "ok"
		if err := c.Run(); err != nil {
			result, code = "FAIL ("+err.Error()+")", 1
		}
		summary = append(summary, fmt.Sprintf("%-4s CPython %s", result, name))
	}
	for _, p := range found {
		row(p.version+" "+p.interpreter, "GOWSGI_TEST_PYTHONS="+p.interpreter)
	}
	if b := os.Getenv("GOWSGI_TEST_BUNDLED"); b != "" {
		row("of "+b, "GOWSGI_TEST_USE_BUNDLED="+b)
	} else {
		skipped = append(skipped, "bundled CPython: GOWSGI_TEST_BUNDLED is not set")
	}
	if len(summary) == 0 {
		code, summary = 1, []string{"FAIL no CPython found at all"}
	}
	fmt.Printf("=== MATRIX result\n%s\n", strings.Join(summary, "\n"))
	for _, s := range skipped {
		fmt.Println("skip", s)
	}
	return code
}

func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, e := os.Stat(filepath.Join(dir, "go.mod")); e == nil {
			return dir, nil
		}
		if dir == "/" {
			err = fmt.Errorf("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

func buildBinary() (string, error) {
	if b := os.Getenv("GOWSGI_TEST_BINARY"); b != "" {
		return filepath.Abs(b)
	}
	b := filepath.Join(tmp, "gowsgi")
	c := exec.Command("go", "build", "-o", b, "./cmd/gowsgi")
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/gowsgi: %w\n%s", err, out)
	}
	return b, nil
}
