package project

import (
	"bytes"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// statement is a logical line of Python, or what stands between its semicolons.
type statement struct {
	indent int
	code   string // without comments; of a string literal only its length is left: "\x01\x01\x01"
	raw    string // as in the file, byte by byte beside code
}

const masked = '\x01'

// statements cuts Python source into statements. It is for code that is being written: what is wrong in one place hides little of the rest.
func statements(text []byte) []statement {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	text = bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
	l := lexer{text: text, triple: true}
	if !l.run() {
		// A docstring that does not end would hide all that follows: quotes then end with their line.
		l = lexer{text: text}
		l.run()
	}
	return l.found
}

type lexer struct {
	text   []byte
	triple bool // quotes may be triple

	at        int
	depth     int // of brackets
	indent    int
	code, raw strings.Builder
	found     []statement
}

// afterBracket is how a line begins that is not within brackets, whatever the brackets before it say.
var afterBracket = lazyregexp.New(`^(?:(?:async +)?def |class |import |from +[\w.]+ +import |@\w|try *:|with |return\b|raise |if +__name__|[A-Za-z_]\w* = [^\n]*[^,\s][ \t]*(?:\n|$))`)

// run reports false for a string that does not end.
func (l *lexer) run() bool {
	l.startLine()
	for l.at < len(l.text) {
		switch c := l.text[l.at]; c {
		case '#':
			for l.at < len(l.text) && l.text[l.at] != '\n' {
				l.at++
			}
		case '"', '\'':
			if !l.literal(c) {
				return false
			}
		case '\\':
			l.add(' ', ' ')
			if l.at < len(l.text) && l.text[l.at] == '\n' {
				l.at++
			}
		case '\n':
			l.at++
			if l.depth > 0 && !afterBracket().Match(l.text[l.at:]) {
				l.code.WriteByte(' ')
				l.raw.WriteByte(' ')
				continue
			}
			l.end()
			l.startLine()
		case ';':
			l.at++
			l.end()
		case '(', '[', '{':
			l.depth++
			l.add(c, c)
		case ')', ']', '}':
			l.depth = max(l.depth-1, 0)
			l.add(c, c)
		default:
			l.add(c, c)
		}
	}
	l.end()
	return true
}

func (l *lexer) add(code, raw byte) {
	l.code.WriteByte(code)
	l.raw.WriteByte(raw)
	l.at++
}

// startLine reads the indentation.
func (l *lexer) startLine() {
	for l.indent = 0; l.at < len(l.text); l.at++ {
		switch l.text[l.at] {
		case ' ':
			l.indent++
		case '\t':
			l.indent += 8 - l.indent%8
		case '\f':
			l.indent = 0
		default:
			return
		}
	}
}

func (l *lexer) end() {
	l.depth = 0
	code, raw := l.code.String(), l.raw.String()
	l.code.Reset()
	l.raw.Reset()
	lead := len(code) - len(strings.TrimLeft(code, " \t"))
	if code = strings.TrimRight(code[lead:], " \t"); code != "" {
		l.found = append(l.found, statement{l.indent, code, raw[lead : lead+len(code)]})
	}
}

// literal reads a string. One in single quotes that does not end is over with its line.
func (l *lexer) literal(quote byte) bool {
	start, end := l.at, []byte{quote}
	if triple := bytes.Repeat(end, 3); l.triple && bytes.HasPrefix(l.text[l.at:], triple) {
		end = triple
	}
	closed := false
	for l.at += len(end); l.at < len(l.text) && !closed; {
		switch rest := l.text[l.at:]; {
		case bytes.HasPrefix(rest, end):
			l.at += len(end)
			closed = true
		case rest[0] == '\\':
			l.at = min(l.at+2, len(l.text))
		case rest[0] == '\n' && len(end) == 1:
			closed = true
		default:
			l.at++
		}
	}
	raw := l.text[start:l.at]
	l.raw.Write(raw)
	l.code.WriteByte('"')
	if len(raw) > 1 {
		l.code.WriteString(strings.Repeat(string(masked), len(raw)-2) + `"`)
	}
	return closed || len(end) == 1
}

// text is the value of a string literal with its quotes. One with escapes has none here: no name has any.
func text(literal string) (string, bool) {
	for _, quotes := range []string{`"""`, `'''`, `"`, `'`} {
		if inner, ok := strings.CutPrefix(literal, quotes); ok {
			inner, ok = strings.CutSuffix(inner, quotes)
			return inner, ok && !strings.Contains(inner, `\`)
		}
	}
	return "", false
}

// cutTop cuts at the first separator outside brackets.
func cutTop(code string, separator byte) (before, after string, found bool) {
	depth := 0
	for i := range len(code) {
		switch c := code[i]; {
		case c == separator && depth == 0:
			return code[:i], code[i+1:], true
		case strings.IndexByte("([{", c) >= 0:
			depth++
		case strings.IndexByte(")]}", c) >= 0:
			depth--
		}
	}
	return code, "", false
}
