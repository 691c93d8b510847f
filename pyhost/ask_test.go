//go:build cgo

package pyhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func init() {
	childActions["ask"] = func(h *Host) error {
		ctx := context.Background()
		for _, text := range []string{"état\n", ""} {
			answer, err := h.Ask(ctx, "second.shout", text)
			if err != nil {
				return err
			}
			fmt.Printf("%q\n", answer)
		}
		for _, function := range []string{"second.fails", "second.nothing", "nosuch.f", "second.no_text"} {
			_, err := h.Ask(ctx, function, "")
			fmt.Printf("%v\n--\n", err)
		}
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if _, err := h.Ask(short, "second.waits", ""); !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("the call that waits: %v", err)
		}
		text, err := get(h, 0, "/")
		fmt.Println(text)
		return err
	}
}

func TestAModuleOfTheProgramIsAskedAndLoadsTheApps(t *testing.T) {
	dir := write(t, "first.py", appSource("app", "whole"))
	modules := []Module{
		{"first_of_two", "word = 'app'\n"},
		{"second", `
import threading, time
import _gowsgi_host
import first_of_two

def load(spec, find):
    inner = find(spec + ":" + first_of_two.word)
    return lambda environ, start_response: [b"<", *inner(environ, start_response), b">"]

_gowsgi_host.loader = load

def shout(text):
    assert threading.current_thread() is threading.main_thread()
    return text.upper()

def fails(text):
    raise ValueError("on purpose")

def no_text(text):
    return 3

def waits(text):
    time.sleep(0.2)
    return ""
`},
	}
	forEachPython(t, func(t *testing.T, p Python) {
		r := childJob{Python: p, Dir: dir, Apps: []string{"first"}, Action: "ask", Modules: modules}.start(t)
		for _, want := range []string{"\"ÉTAT\\n\"\n\"\"\n", "ValueError: on purpose", "has no attribute 'nothing'", "KeyError: 'nosuch'", "\n<whole>\n"} {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("no %q in %+v", want, r)
			}
		}
		if r.code != 0 || strings.Contains(r.stdout, "<gowsgi>") {
			t.Errorf("%+v", r)
		}
	})
}

func TestAModuleThatFailsIsAFailedStart(t *testing.T) {
	r := childJob{Python: anyPython(t), Dir: t.TempDir(), Modules: []Module{{"broken", "1/0\n"}}}.start(t)
	if r.code != childOpenFailed || !strings.Contains(r.stdout, "ZeroDivisionError") {
		t.Errorf("%+v", r)
	}
}
