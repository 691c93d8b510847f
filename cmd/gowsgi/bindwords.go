package main

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
)

// bindWords are what stands after an address.
type bindWords struct {
	mode        fs.FileMode // of a unix socket; 0: by the umask
	user, group string      // of a unix socket; "": whoever makes it
	listenerSetting
}

// listenerSetting is how the connections of a listener are treated.
type listenerSetting struct {
	ProxyProtocol bool // each begins with a PROXY header
	Plain         bool // no TLS, also where there is a certificate
	Redirect      bool // each request is sent to https
}

// bindWordNames are all words; those with = have a value.
var bindWordNames = []string{"mode=", "user=", "group=", "proxy-protocol", "plain", "redirect"}

// cutWords splits --bind's text. The path of a unix socket may have spaces: what comes after one is a word where it has an = or resembles one.
func cutWords(text string) (address string, words []string) {
	for i := range len(text) {
		if text[i] != ' ' {
			continue
		}
		next, _, _ := strings.Cut(strings.TrimLeft(text[i:], " "), " ")
		if !strings.HasPrefix(text, "unix:") || strings.Contains(next, "=") || resembledWord(next) != "" {
			return text[:i], strings.Fields(text[i:])
		}
	}
	return text, nil
}

// resembledWord is the word that a text may have been meant to be, "" for none.
func resembledWord(text string) string {
	const typos = 2
	name, _, _ := strings.Cut(strings.ToLower(text), "=")
	for _, w := range bindWordNames {
		if levenshtein.Distance(name, strings.TrimSuffix(w, "="), nil) <= typos {
			return w
		}
	}
	return ""
}

// parse takes the words of an address on the network.
func (w *bindWords) parse(words []string, network string) error {
	var seen []string
	for _, word := range words {
		name, value, valued := strings.Cut(word, "=")
		if valued {
			name += "="
		}
		if slices.Contains(seen, name) {
			return fmt.Errorf("%s stands there twice", name)
		}
		seen = append(seen, name)
		if valued && value == "" {
			return fmt.Errorf("%s has no value", name)
		}
		if valued && network != "unix" && slices.Contains(bindWordNames, name) {
			return fmt.Errorf("%s is for unix sockets", name)
		}
		switch name {
		case "mode=":
			n, err := strconv.ParseUint(value, 8, 32)
			if err != nil || n > 0o777 || n == 0 {
				return fmt.Errorf("%q is no mode: octal digits such as 0660", value)
			}
			w.mode = fs.FileMode(n)
		case "user=":
			w.user = value
		case "group=":
			w.group = value
		case "proxy-protocol":
			w.ProxyProtocol = true
		case "plain":
			w.Plain = true
		case "redirect":
			w.Redirect = true
		default:
			hint := ""
			if near := resembledWord(word); near != "" {
				hint = "; did you mean " + near + "?"
			}
			return fmt.Errorf("after an address can stand %s, not %q%s", strings.Join(bindWordNames, ", "), word, hint)
		}
	}
	if w.Plain && w.Redirect {
		return fmt.Errorf("plain and redirect exclude each other: what redirects to https is plain anyway")
	}
	return nil
}

// String is the words with a space before each.
func (w bindWords) String() string {
	var b strings.Builder
	if w.mode != 0 {
		fmt.Fprintf(&b, " mode=%04o", w.mode)
	}
	if w.user != "" {
		b.WriteString(" user=" + w.user)
	}
	if w.group != "" {
		b.WriteString(" group=" + w.group)
	}
	for _, flag := range []struct {
		set  bool
		name string
	}{{w.ProxyProtocol, "proxy-protocol"}, {w.Plain, "plain"}, {w.Redirect, "redirect"}} {
		if flag.set {
			b.WriteString(" " + flag.name)
		}
	}
	return b.String()
}

// owned says whether the words give a unix socket its mode or owner.
func (w bindWords) owned() bool { return w.mode != 0 || w.user != "" || w.group != "" }
