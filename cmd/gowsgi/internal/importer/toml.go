package importer

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// form is how a key's values are written.
type form int

const (
	textForm   form = iota
	numberForm      // a whole number
	sizeForm        // a number of bytes, or a text such as 64m
	switchForm      // true
	listForm        // texts
	tableForm       // texts NAME=VALUE
)

// key is a key of gowsgi.toml that something can be mapped to.
type key struct {
	name        string
	form        form
	least, most int64 // of a number; most 0: any
}

// keys are in the order in which they are written; tables must be the last.
var keys = []key{
	{name: "app"}, {name: "chdir"}, {name: "python"}, {name: "python-arg", form: listForm},
	{name: "bind", form: listForm}, {name: "certfile", form: listForm}, {name: "keyfile", form: listForm}, {name: "client-ca"}, {name: "client-cert"},
	{name: "tls-min-version"}, {name: "acme", form: listForm}, {name: "acme-email"},
	{name: "trusted-proxy", form: listForm}, {name: "forwarded-header", form: listForm}, {name: "header-policy"},
	{name: "workers", form: numberForm, least: 1, most: 1000}, {name: "threads", form: numberForm, least: 1, most: 10000}, {name: "preload", form: switchForm},
	{name: "start-timeout"}, {name: "graceful-timeout"}, {name: "request-timeout"}, {name: "gil-timeout"}, {name: "queue-timeout"},
	{name: "max-requests", form: numberForm}, {name: "max-worker-age"}, {name: "max-worker-rss", form: sizeForm},
	{name: "spool-dir"}, {name: "limit-request-body", form: sizeForm},
	{name: "header-timeout"}, {name: "body-timeout"}, {name: "write-timeout"}, {name: "idle-timeout"},
	{name: "limit-request-line", form: numberForm, least: 1, most: 1 << 20}, {name: "limit-request-fields", form: numberForm, least: 1, most: 1000},
	{name: "limit-request-field-size", form: numberForm, least: 1, most: 1 << 20}, {name: "min-body-rate", form: sizeForm},
	{name: "keepalive-requests", form: numberForm},
	{name: "compress", form: switchForm}, {name: "sendfile-root", form: listForm},
	{name: "user"}, {name: "group"}, {name: "umask"}, {name: "pid-file"}, {name: "log-file"}, {name: "access-log"}, {name: "access-log-format"},
	{name: "mount", form: tableForm}, {name: "static", form: tableForm},
}

func keyNamed(name string) key {
	for _, k := range keys {
		if k.name == name {
			return k
		}
	}
	panic("importer: no key " + name) // a mistake of this package
}

func formOf(name string) form { return keyNamed(name).form }

// lineWidth is where comments are wrapped.
const lineWidth = 110

// TOML is the text of a gowsgi.toml, with what has no equivalent as comments at its top.
func (r *Result) TOML() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Made by gowsgi import from %s (%s).\n", printable(r.Source), r.Kind)
	if len(r.Notes) > 0 {
		b.WriteString("#\n# Without an equivalent, or to be decided:\n")
		for _, n := range r.Notes {
			comment(&b, n.String())
		}
	}
	if len(r.Needless) > 0 {
		b.WriteString("#\n# Nothing is needed for:\n")
		comment(&b, printable(strings.Join(r.Needless, ", ")))
	}
	b.WriteString("\n")
	for _, k := range keys {
		r.write(&b, k)
	}
	return b.String()
}

// comment writes a text in as many lines as it takes.
func comment(b *strings.Builder, text string) {
	line := "#   "
	for word := range strings.FieldsSeq(text) {
		if len(line)+len(word) > lineWidth && strings.TrimSpace(line) != "#" {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = "#     "
		}
		line += word + " "
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// write writes a key with all its values.
func (r *Result) write(b *strings.Builder, k key) {
	var all []Setting
	for _, s := range r.Settings {
		if s.Key == k.name {
			all = append(all, s)
		}
	}
	switch {
	case len(all) == 0:
	case k.form == tableForm:
		fmt.Fprintf(b, "\n[%s]\n", k.name)
		for _, s := range all {
			name, value, _ := strings.Cut(s.Text, "=")
			fmt.Fprintf(b, "%s = %s%s\n", quoted(name), quoted(value), s.origin())
		}
	case k.form != listForm:
		fmt.Fprintf(b, "%s = %s%s\n", k.name, k.value(all[0].Text), all[0].origin())
	case len(all) == 1:
		fmt.Fprintf(b, "%s = [%s]%s\n", k.name, quoted(all[0].Text), all[0].origin())
	default:
		fmt.Fprintf(b, "%s = [\n", k.name)
		for _, s := range all {
			fmt.Fprintf(b, "    %s,%s\n", quoted(s.Text), s.origin())
		}
		b.WriteString("]\n")
	}
}

// origin is a comment behind a value.
func (s *Setting) origin() string {
	text := "  # " + s.Place.String()
	if s.Directive != "" {
		text += ": " + s.Directive
	}
	if s.Remark != "" {
		text += "; " + s.Remark
	}
	return printable(text)
}

func (k key) value(text string) string {
	switch {
	case k.form == numberForm || k.form == sizeForm && strings.Trim(text, "0123456789") == "":
		return text
	case k.form == switchForm:
		return "true"
	}
	return quoted(text)
}

// quoted is a text as TOML has it.
func quoted(text string) string {
	line, err := toml.Marshal(map[string]string{"k": text})
	if err != nil {
		panic(err) // a text can always be written
	}
	return strings.TrimSpace(strings.TrimPrefix(string(line), "k = "))
}
