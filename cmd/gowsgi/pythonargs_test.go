package main

import (
	"slices"
	"testing"

	"github.com/alecthomas/kong"
)

func parsePythonArgs(t *testing.T, args ...string) ([]string, error) {
	t.Helper()
	var c struct{ PythonArg pythonArgs }
	parser, err := kong.New(&c, kong.DefaultEnvars("GOWSGI"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return c.PythonArg, err
}

func TestOptionsOfPythonAreTakenAsOneWordEach(t *testing.T) {
	for _, c := range []struct{ args, want []string }{
		{[]string{"--python-arg=-Xdev"}, []string{"-X", "dev"}},
		{[]string{"--python-arg=-X dev"}, []string{"-X", "dev"}},
		{[]string{"--python-arg", "-X dev"}, []string{"-X", "dev"}},
		{[]string{"--python-arg", "-O", "--python-arg", "-W error:a b"}, []string{"-O", "-W", "error:a b"}},
		{[]string{"--python-arg", "-OO,-X frozen_modules=off,-W ignore,default"}, []string{"-OO", "-X", "frozen_modules=off", "-W", "ignore,default"}},
	} {
		if got, err := parsePythonArgs(t, c.args...); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, %v", c.args, got, err)
		}
	}
	t.Setenv("GOWSGI_PYTHON_ARG", "-B,-X utf8")
	if got, err := parsePythonArgs(t); err != nil || !slices.Equal(got, []string{"-B", "-X", "utf8"}) {
		t.Errorf("from the environment: %q, %v", got, err)
	}
	if got, err := parsePythonArgs(t, "--python-arg=-u"); err != nil || !slices.Equal(got, []string{"-u"}) {
		t.Errorf("the command line replaces the environment: %q, %v", got, err)
	}
}

func TestOptionsThatChangeWhatPythonRunsAreRefused(t *testing.T) {
	for _, option := range []string{"-c pass", "-m venv", "-i", "-h", "-V", "-S", "-X", "-W ", "script.py", "", "-", "--help", "-Ox"} {
		if got, err := parsePythonArgs(t, "--python-arg="+option); err == nil {
			t.Errorf("%q was taken as %q", option, got)
		}
	}
}
