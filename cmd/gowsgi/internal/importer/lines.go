package importer

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// logicalLine is a line with those that it goes on in.
type logicalLine struct {
	text string
	line int
}

// logicalLines joins lines that end with a backslash. Within them, comments and empty lines are left out where a Dockerfile or unit has them so.
func logicalLines(data []byte) []logicalLine {
	var all []logicalLine
	open := false
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := strings.TrimRight(string(line), "\r\n")
		trimmed := strings.TrimSpace(text)
		if open && (trimmed == "" || strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";")) {
			continue
		}
		body, goesOn := strings.CutSuffix(strings.TrimRight(text, " \t"), `\`)
		if !goesOn {
			body = text
		}
		if open {
			last := &all[len(all)-1]
			last.text += " " + strings.TrimSpace(body)
		} else {
			all = append(all, logicalLine{body, number})
		}
		open = goesOn
	}
	return all
}

var (
	procfileLine = lazyregexp.New(`^([A-Za-z0-9_-]+):\s*(.+)$`)
	dockerLine   = lazyregexp.New(`(?i)^\s*(CMD|ENTRYPOINT|WORKDIR|ENV|ARG|USER)\s+(.+)$`)
	unitLine     = lazyregexp.New(`^(ExecStart|WorkingDirectory|Environment|EnvironmentFile|User|Group)\s*=\s*(.*)$`)
	shellFirst   = lazyregexp.New(`^#!.*\b(ba|da|z)?sh\b`)
)

// findCommands are the servers that a file starts.
func findCommands(path string, data []byte, o *Options) []*command {
	name := strings.ToLower(filepath.Base(path))
	switch {
	case strings.HasSuffix(name, ".service") || bytes.Contains(data, []byte("\nExecStart=")):
		return unitCommands(path, data, o)
	case strings.HasPrefix(name, "procfile"):
		return procfileCommands(path, data, o)
	case strings.Contains(name, "dockerfile") || strings.Contains(name, "containerfile"):
		return dockerCommands(path, data, o)
	case shellFirst().Match(data), strings.HasSuffix(name, ".sh"), filepath.Ext(name) == "" && !bytes.Contains(data, []byte("\x00")):
		return newShell(path, o).commands(string(data), 1)
	}
	return nil
}

// unitCommands reads a unit of systemd: systemd.service(5), systemd.exec(5).
func unitCommands(path string, data []byte, o *Options) []*command {
	sh := newShell(path, o)
	var all []*command
	var kept []string
	for _, l := range logicalLines(data) {
		m := unitLine().FindStringSubmatch(strings.TrimSpace(l.text))
		if m == nil {
			continue
		}
		switch m[1] {
		case "ExecStart":
			all = append(all, sh.commands(strings.TrimLeft(m[2], "@-:+!|"), l.line)...)
		case "WorkingDirectory":
			sh.dir = strings.TrimPrefix(m[2], "-")
		case "Environment":
			for _, kv := range sh.words(m[2]) {
				sh.set(kv)
			}
			kept = append(kept, "Environment=")
		default:
			kept = append(kept, m[1]+"=")
		}
	}
	for _, c := range all {
		if sh.dir != "~" {
			c.dir = sh.dir
		}
		c.environ = append(slices.Clone(sh.own), c.environ...)
		c.notes = append(c.notes, Note{c.at, "ExecStart=", "the unit stays, with ExecStart=.../gowsgi serve, ExecReload=.../gowsgi reload and Type=notify, as in scripts/deploy/gowsgi.service" + keep(kept)})
	}
	return all
}

// keep tells of lines that a unit keeps.
func keep(kept []string) string {
	if len(kept) == 0 {
		return ""
	}
	return "; " + strings.Join(slices.Compact(kept), ", ") + " stay there"
}

// procfileCommands reads a Procfile, of which each line is a process type.
func procfileCommands(path string, data []byte, o *Options) []*command {
	var all []*command
	for _, l := range logicalLines(data) {
		m := procfileLine().FindStringSubmatch(strings.TrimSpace(l.text))
		if m == nil {
			continue
		}
		for _, c := range newShell(path, o).commands(m[2], l.line) {
			if c.kind == Gunicorn && !strings.Contains(strings.Join(c.words, " "), "-b") {
				c.words = append(c.words, "--bind=0.0.0.0:${PORT}") // gunicorn's default where $PORT is set
			}
			all = append(all, c)
		}
	}
	return all
}

// dockerCommands reads CMD and ENTRYPOINT of a Dockerfile's last stage.
func dockerCommands(path string, data []byte, o *Options) []*command {
	sh := newShell(path, o)
	var entry, cmd []*command
	for _, l := range logicalLines(data) {
		if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(l.text)), "FROM ") {
			entry, cmd, sh.dir = nil, nil, ""
		}
		m := dockerLine().FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		value := strings.TrimSpace(m[2])
		switch strings.ToUpper(m[1]) {
		case "WORKDIR":
			if words := sh.words(value); len(words) == 1 {
				sh.dir = inDir(sh.dir, words[0])
			}
		case "ENV", "ARG":
			words := sh.words(value)
			if len(words) == 2 && !strings.Contains(words[0], "=") {
				words = []string{words[0] + "=" + words[1]}
			}
			for _, kv := range words {
				sh.set(kv)
			}
		case "CMD":
			cmd = sh.exec(value, l.line)
		case "ENTRYPOINT":
			entry = sh.exec(value, l.line)
		}
	}
	all := append(entry, cmd...)
	for _, c := range all {
		c.dir = inDir(sh.dir, c.dir)
		c.environ = append(slices.Clone(sh.own), c.environ...)
	}
	return all
}

// inDir is a path from a folder.
func inDir(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		if path == "" {
			return dir
		}
		return path
	}
	return filepath.Join(dir, path)
}

// exec is an instruction in its exec form, which is a JSON array, or its shell form.
func (s *shell) exec(text string, line int) []*command {
	var words []string
	if json.Unmarshal([]byte(text), &words) != nil {
		return s.commands(text, line)
	}
	if len(words) == 3 && strings.HasSuffix(words[0], "sh") && words[1] == "-c" {
		return s.commands(words[2], line)
	}
	if c := commandOf(words, Place{s.path, line}); c != nil {
		c.dir = s.dir
		return []*command{c}
	}
	return nil
}

// place is a line of a text that begins at line first.
func (s *shell) place(first int, line uint) Place {
	return Place{s.path, first + int(min(line, 1<<20)) - 1}
}

var processors = lazyregexp.New(`^\$\((nproc|nproc --all|getconf _NPROCESSORS_ONLN)\)$`)

// cpus is what a command substitution that counts processors gives, "" for another one.
func (s *shell) cpus(text string) string {
	if processors().MatchString(text) {
		return strconv.Itoa(s.o.CPUs)
	}
	return ""
}
