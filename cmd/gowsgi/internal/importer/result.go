package importer

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Place is where a directive stands.
type Place struct {
	File string
	Line int // from 1; 0 where there are no lines, as in a command
}

// String has no folders.
func (p Place) String() string {
	if p.Line == 0 {
		return filepath.Base(p.File)
	}
	return filepath.Base(p.File) + ":" + strconv.Itoa(p.Line)
}

// Setting is a key of gowsgi.toml with one value. A key that can be repeated has several of them.
type Setting struct {
	Key, Text string
	Place
	Directive string // that it was made from
	Remark    string // what to know of the value; may be empty
}

// Note is what has no equivalent, or what somebody must decide.
type Note struct {
	Place
	Directive string
	Why       string // and what to do
}

// Result is what was read. It is not for several goroutines at once.
type Result struct {
	Kind     Kind
	Source   string // the file or command
	Settings []Setting
	Notes    []Note
	Needless []string // directives that gowsgi needs nothing for
}

// from is the directive that is being looked at.
type from struct {
	Place
	directive string
}

// set gives a key its value; what it had before goes. Values that gowsgi would not take become notes.
func (r *Result) set(key, text string, at from, remark ...string) {
	if why := r.refused(key, text); why != "" {
		r.note(at, "%s", why)
		return
	}
	r.unset(key)
	r.put(key, text, at, remark)
}

// add gives a key that can be repeated one value more.
func (r *Result) add(key, text string, at from, remark ...string) {
	if why := r.refused(key, text); why != "" {
		r.note(at, "%s", why)
		return
	}
	name, _, _ := strings.Cut(text, "=")
	for _, s := range r.Settings {
		other, _, _ := strings.Cut(s.Text, "=")
		switch {
		case s.Key != key:
		case s.Text == text:
			return
		case formOf(key) == tableForm && name == other:
			r.note(at, "%s has %s already, from %s", key, name, s.Place)
			return
		}
	}
	r.put(key, text, at, remark)
}

func (r *Result) put(key, text string, at from, remark []string) {
	r.Settings = append(r.Settings, Setting{Key: key, Text: text, Place: at.Place, Directive: at.directive, Remark: strings.Join(remark, "; ")})
}

// refused says why gowsgi would not take a value, "" where it would.
func (r *Result) refused(key, text string) string {
	k := keyNamed(key)
	switch {
	case !utf8.ValidString(text):
		return "it is no UTF-8, which gowsgi.toml must be"
	case text == "":
		return "it is empty"
	case k.form == numberForm:
		n, err := strconv.ParseInt(text, 10, 63)
		switch {
		case err != nil:
			return fmt.Sprintf("%q is no number that %s takes", text, key)
		case n < k.least:
			return fmt.Sprintf("%s is at least %d, not %d", key, k.least, n)
		case k.most > 0 && n > k.most:
			return fmt.Sprintf("%s is at most %d, not %d", key, k.most, n)
		}
	}
	return ""
}

func (r *Result) unset(key string) {
	r.Settings = slices.DeleteFunc(r.Settings, func(s Setting) bool { return s.Key == key })
}

// get is the value of a key, the first one of several, "" for none.
func (r *Result) get(key string) string {
	for _, s := range r.Settings {
		if s.Key == key {
			return s.Text
		}
	}
	return ""
}

func (r *Result) has(key string) bool { return r.get(key) != "" }

// note says once why a directive has no equivalent, or what is to be decided.
func (r *Result) note(at from, format string, args ...any) {
	n := Note{at.Place, at.directive, fmt.Sprintf(format, args...)}
	if !slices.Contains(r.Notes, n) {
		r.Notes = append(r.Notes, n)
	}
}

// needless says that gowsgi needs nothing for a directive.
func (r *Result) needless(directive string) {
	if !slices.Contains(r.Needless, directive) {
		r.Needless = append(r.Needless, directive)
	}
}

// List is the notes as text for people, a paragraph each, "" where there are none.
func (r *Result) List() string {
	var b strings.Builder
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "%s\n", n)
	}
	return b.String()
}

func (n Note) String() string {
	return fmt.Sprintf("%s: %s: %s", n.Place, printable(n.Directive), printable(n.Why))
}

// printable is a text without what would end a line or control a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
