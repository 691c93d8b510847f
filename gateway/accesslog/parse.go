package accesslog

import (
	"fmt"
	"slices"
	"strings"
)

// Combined is Apache's combined format as a format string.
const Combined = `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`

// fields are those of the JSON format, in its order, and what %{NAME}x gives.
var fields = []struct {
	name   string
	number bool
	op     opKind
	key    string // opEnviron
}{
	{"time", false, opTime, ""},
	{"duration", true, opDuration, ""},
	{"queue_time", true, opQueue, ""},
	{"python_time", true, opPython, ""},
	{"status", true, opStatus, ""},
	{"ended", false, opEnded, ""},
	{"method", false, opEnviron, "REQUEST_METHOD"},
	{"target", false, opEnviron, "RAW_URI"},
	{"protocol", false, opEnviron, "SERVER_PROTOCOL"},
	{"scheme", false, opEnviron, "wsgi.url_scheme"},
	{"host", false, opEnviron, "HTTP_HOST"},
	{"remote_addr", false, opEnviron, "REMOTE_ADDR"},
	{"referer", false, opEnviron, "HTTP_REFERER"},
	{"user_agent", false, opEnviron, "HTTP_USER_AGENT"},
	{"bytes_in", true, opBytesIn, ""},
	{"bytes_out", true, opBytesOut, ""},
	{"body_bytes_out", true, opBodySize, ""},
	{"worker", true, opWorker, ""},
	{"thread", true, opThread, ""},
	{"request_id", false, opEnviron, requestID},
}

const requestID = "HTTP_X_REQUEST_ID"

// simple are the directives of one letter that need no key of the environ.
var simple = map[string]opKind{
	"t": opDate, "s": opStatus, ">s": opStatus, "b": opBody, "B": opBodySize, "T": opSeconds, "M": opMilliseconds, "D": opMicroseconds,
	"L": opDuration, "I": opBytesIn, "O": opBytesOut, "P": opPID,
}

// keyed are those that show a key of the environ.
var keyed = map[string]string{
	"h": "REMOTE_ADDR", "a": "REMOTE_ADDR", "m": "REQUEST_METHOD", "H": "SERVER_PROTOCOL", "v": "HTTP_HOST",
	"f": "HTTP_REFERER",
}

// ParseFormat reads "combined", "json" or a format string: text with Apache's directives, or gunicorn's, %(h)s, of the same letters. Its
// errors name the directive that is not known.
func ParseFormat(text string) (*Format, error) {
	switch {
	case text == "json":
		return jsonFormat(), nil
	case text == "combined":
		text = Combined
	case !strings.Contains(text, "%"):
		return nil, fmt.Errorf("%q is no format: write combined, json, or a text with directives such as %%h", text)
	}
	f := &Format{}
	for rest := text; rest != ""; {
		literal, after, found := strings.Cut(rest, "%")
		f.literal(literal)
		if rest = after; !found {
			break
		}
		n, err := f.directive(rest)
		if err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	if len(f.keys) > maxKeys || len(f.names) > maxKeys {
		return nil, fmt.Errorf("a format can show %d request headers and as many response headers at most", maxKeys)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\t' && (r < ' ' || r == 0x7f) }); i >= 0 {
		return nil, fmt.Errorf("a format has no control characters but tabs; there is %q", text[i])
	}
	f.finish()
	return f, nil
}

func jsonFormat() *Format {
	f := &Format{json: true}
	for i, x := range fields {
		quote := `"`
		if x.number {
			quote = ""
		}
		f.literal(map[bool]string{true: "{", false: ","}[i == 0] + `"` + x.name + `":` + quote)
		f.add(x.op, x.key)
		f.literal(quote)
	}
	f.add(opLine, "")
	f.literal("}")
	f.finish()
	return f
}

// finish prepares what the lines need.
func (f *Format) finish() {
	f.index()
	for i := range f.ops {
		after := f.tail.text
		if i+1 < len(f.ops) {
			after = f.ops[i+1].before.text
		}
		switch o := &f.ops[i]; o.kind {
		case opEnviron, opHeader, opRequest, opPath, opQuery, opLine:
			f.texts++
			if after != "" {
				o.stop = stopOf(after[0])
			}
		}
	}
	f.tail.add("\n")
}

// stopOf is c where a field that has it could be taken for two; what is always escaped needs no care.
func stopOf(c byte) byte {
	if !plain[c] || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
		return 0
	}
	return c
}

func (f *Format) literal(text string) { f.tail.add(text) }

// add adds an op; key is what it wants of the environ, if anything.
func (f *Format) add(kind opKind, key string) {
	i := 0
	if key != "" {
		i = f.key(key)
	}
	f.addIndexed(kind, i)
}

// addIndexed adds an op with the text that came before it.
func (f *Format) addIndexed(kind opKind, i int) {
	f.ops = append(f.ops, op{before: f.tail, kind: kind, i: i})
	f.tail = literal{}
}

// directive reads what follows a "%" and returns its length.
func (f *Format) directive(text string) (int, error) {
	if inner, ok := strings.CutPrefix(text, "("); ok {
		name, _, ok := strings.Cut(inner, ")s")
		if !ok {
			return 0, fmt.Errorf("the directive %q does not end with )s", "%"+text)
		}
		return len(name) + 3, f.known("%("+name+")s", name, true)
	}
	n := 0
	if strings.HasPrefix(text, "{") {
		if n = strings.IndexByte(text, '}') + 1; n == 0 {
			return 0, fmt.Errorf("the directive %q has no }", "%"+text)
		}
	} else if strings.HasPrefix(text, ">") {
		n = 1
	}
	n = min(n+1, len(text))
	return n, f.known("%"+text[:n], text[:n], false)
}

// known adds a directive by its name, such as h or {Referer}i.
func (f *Format) known(whole, name string, gunicorn bool) error {
	if braced, ok := strings.CutPrefix(name, "{"); ok {
		arg, kind, _ := strings.Cut(braced, "}")
		if arg == "" || len(arg) >= maxKeyLen-len("HTTP_") {
			return fmt.Errorf("the directive %s names nothing, or something too long", whole)
		}
		return f.named(whole, arg, kind)
	}
	if kind, ok := simple[name]; ok && !(gunicorn && name == ">s") {
		f.add(kind, "")
		return nil
	}
	switch {
	case name == "%" && !gunicorn:
		f.literal("%")
	case name == "l" || name == "u": // the server asks nobody who he is
		f.literal("-")
	case name == "r": // the three keys follow each other
		f.addIndexed(opRequest, len(f.keys))
		f.keys = append(f.keys, "REQUEST_METHOD", "RAW_URI", "SERVER_PROTOCOL")
	case name == "U":
		f.add(opPath, "RAW_URI")
	case name == "q":
		f.add(opQuery, "RAW_URI")
	case gunicorn && name == "a":
		f.add(opEnviron, "HTTP_USER_AGENT")
	case gunicorn && name == "p":
		f.literal("<")
		f.add(opPID, "")
		f.literal(">")
	case keyed[name] != "":
		f.add(opEnviron, keyed[name])
	default:
		return fmt.Errorf("there is no directive %s; there are %%h %%a %%l %%u %%t %%r %%m %%U %%q %%H %%v %%s %%b %%B %%f %%T %%M %%D %%L "+
			"%%I %%O %%P, %%{Header}i, %%{Header}o, %%{VARIABLE}e and %%{field}x", whole)
	}
	return nil
}

// named adds a directive with an argument.
func (f *Format) named(whole, arg, kind string) error {
	switch kind {
	case "i":
		key := strings.ReplaceAll(strings.ToUpper(arg), "-", "_")
		if key != "CONTENT_TYPE" && key != "CONTENT_LENGTH" {
			key = "HTTP_" + key
		}
		f.add(opEnviron, key)
	case "e":
		f.add(opEnviron, arg)
	case "o":
		f.addIndexed(opHeader, len(f.names))
		f.names = append(f.names, arg)
	case "x":
		for _, x := range fields {
			if x.name == arg {
				f.add(x.op, x.key)
				return nil
			}
		}
		return fmt.Errorf("the directive %s names no field of the JSON format", whole)
	default:
		return fmt.Errorf("there is no directive %s; after a name in braces come i, o, e or x", whole)
	}
	return nil
}

// WantsTimes says whether a line shows how long something took, or the thread.
func (f *Format) WantsTimes() bool {
	return slices.ContainsFunc(f.ops, func(o op) bool {
		switch o.kind {
		case opSeconds, opMilliseconds, opMicroseconds, opDuration, opQueue, opPython, opThread:
			return true
		}
		return false
	})
}

// WantsRequestID says whether a line shows the request's id.
func (f *Format) WantsRequestID() bool {
	for _, k := range f.keys {
		if k == requestID {
			return true
		}
	}
	return false
}
