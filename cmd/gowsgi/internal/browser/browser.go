// Package browser shows a page to the user of this machine.
package browser

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// patience is how long a program may take to say that it can't.
const patience = 3 * time.Second

// Open shows the URL in the user's browser: by $BROWSER (programs with arguments, separated by colons; %s stands for the URL), else by
// wslview, xdg-open or x-www-browser. The browser's output is thrown away, and Ctrl-C in this terminal does not reach it. Its errors
// say why there is no browser, for root too, who is given none but by $BROWSER.
//
// It returns once the program has ended, as xdg-open does at once, at the latest after 3 s. It starts a child of this process and waits
// for it in a goroutine of its own. Any goroutine may call it.
func Open(url string) error {
	candidates, err := candidates(os.Getuid(), url)
	if err != nil {
		return err
	}
	var tried []error
	for _, args := range candidates {
		if err = start(args); err == nil {
			return nil
		}
		if !errors.Is(err, exec.ErrNotFound) {
			tried = append(tried, fmt.Errorf("%s: %w", args[0], err))
		}
	}
	if len(tried) > 0 {
		return fmt.Errorf("no browser could be started: %w", errors.Join(tried...))
	}
	var names []string
	for _, args := range candidates {
		names = append(names, args[0])
	}
	return fmt.Errorf("there is no browser: none of these programs is on this machine: %s; name one in $BROWSER", strings.Join(names, ", "))
}

// candidates are the commands to try.
func candidates(uid int, url string) (all [][]string, err error) {
	for _, command := range filepath.SplitList(os.Getenv("BROWSER")) {
		if args := strings.Fields(command); len(args) > 0 {
			all = append(all, withURL(args, url))
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	if uid == 0 {
		return nil, errors.New("no browser is started for root, whose it would run as; name one in $BROWSER if that is wanted")
	}
	if os.Getenv("WSL_DISTRO_NAME") != "" { // the Windows Subsystem for Linux, where the browser is Windows's
		all = append(all, []string{"wslview", url})
	}
	if os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "" { // else xdg-open would show the page in this terminal
		all = append(all, []string{"xdg-open", url}, []string{"x-www-browser", url})
	}
	if len(all) == 0 {
		return nil, errors.New("there is no display to show a browser on (DISPLAY and WAYLAND_DISPLAY are not set)")
	}
	return all, nil
}

func withURL(args []string, url string) []string {
	if !slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "%s") }) {
		return append(args, url)
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "%s", url)
	}
	return args
}

// start runs a command until it has ended, or has not failed for a while: a browser may stay.
func start(args []string) error {
	cmd := exec.Command(args[0], args[1:]...) // with /dev/null for its input and output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		return nil
	}
}
