package pyhost

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// askTimeout bounds the run of an interpreter that is asked. A healthy one needs 0.1 s.
const askTimeout = 10 * time.Second

//go:embed discover.py
var askScript string

const askMark = "pyhost-answer:"

// answer is what an interpreter says of itself; see discover.py.
type answer struct {
	Executable     string   `json:"executable"`
	Version        string   `json:"version"`
	Implementation string   `json:"implementation"`
	Prefix         string   `json:"prefix"`
	BasePrefix     string   `json:"base_prefix"`
	ABIFlags       string   `json:"abiflags"`
	FreeThreaded   bool     `json:"free_threaded"`
	LibDir         string   `json:"libdir"`
	Multiarch      string   `json:"multiarch"`
	Libraries      []string `json:"libraries"`
	Mapped         []string `json:"mapped"`
}

// ask runs the interpreter at path. -I keeps PYTHON* variables, the user's site-packages and modules in the current folder out of the
// answer; pyvenv.cfg and .pth files still count, as they will when it is loaded. dir is the current folder, which a pyenv shim goes by.
func ask(path, dir string, timeout time.Duration) (*answer, error) {
	out, err := runPython(path, dir, timeout, "-I", "-B", "-c", askScript)
	if err == nil {
		if i := bytes.LastIndex(out, []byte("\n"+askMark)); i >= 0 {
			line, _, _ := bytes.Cut(out[i+1+len(askMark):], []byte("\n"))
			return parseAnswer(path, line)
		}
		return nil, fmt.Errorf("pyhost: %s does not answer like a Python: it printed %q", path, clip(out))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("pyhost: %s did not answer within %v; try: %s -I -c pass", path, timeout, shellQuote(path))
	}
	// Python 2 knows no -I. It prints its version on stderr, which runPython adds to the output.
	if v, e := runPython(path, dir, timeout, "-V"); e == nil {
		if version, ok := strings.CutPrefix(strings.TrimSpace(string(v)), "Python 2."); ok {
			return nil, &UnsupportedError{Executable: path, Reason: "is Python 2." + version + "; CPython 3.9 or newer is needed"}
		}
	}
	return nil, fmt.Errorf("pyhost: %s could not be run: %w%s", path, err, indent(clip(out)))
}

// runPython returns standard output, and after it standard error, which is short where all is well.
func runPython(path, dir string, timeout time.Duration, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		cmd.Dir = dir
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// A group of its own, so that what a shim started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	stdout.Write(stderr.Bytes())
	return stdout.Bytes(), err
}

func parseAnswer(path string, line []byte) (*answer, error) {
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, fmt.Errorf("pyhost: %s does not answer like a Python: %w in %q", path, err, clip(line))
	}
	for _, p := range []*string{&a.Executable, &a.Prefix, &a.BasePrefix, &a.LibDir, &a.Multiarch} {
		*p = latin1(*p)
	}
	for _, list := range [][]string{a.Libraries, a.Mapped} {
		for i, p := range list {
			list[i] = latin1(p)
		}
	}
	if a.Executable == "" {
		a.Executable = path
	}
	return &a, nil
}

// latin1 turns each character back into the byte it stands for.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// minor is the version's second number; -1 where it is not a version.
func (a *answer) minor() int {
	part := strings.SplitN(a.Version, ".", 3)
	if len(part) < 2 || part[0] != "3" {
		return -1
	}
	n, err := strconv.Atoi(part[1])
	if err != nil {
		return -1
	}
	return n
}

// majorMinor is "3.12".
func (a *answer) majorMinor() string { return "3." + strconv.Itoa(a.minor()) }

func (a *answer) supported() error {
	switch {
	case a.Implementation != "cpython":
		return &UnsupportedError{Executable: a.Executable, Reason: "is " + a.Implementation + " " + a.Version + "; only CPython can be loaded"}
	case a.minor() < 9:
		return &UnsupportedError{Executable: a.Executable, Reason: "is CPython " + a.Version + "; 3.9 or newer is needed"}
	}
	return nil
}

func clip(b []byte) string {
	const most = 2000
	b = bytes.TrimSpace(b)
	if len(b) > most {
		b = append([]byte("..."), b[len(b)-most:]...)
	}
	return string(b)
}

func indent(s string) string {
	if s == "" {
		return ""
	}
	return "\n  " + strings.ReplaceAll(s, "\n", "\n  ")
}
