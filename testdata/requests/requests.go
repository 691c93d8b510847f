// Package requests is the table of requests that the gateway and the whole server are tested with. Each file is what one client sends on one
// connection, and what must come of it; its name begins with the RFC and the section, or with the PEP, that it is about.
//
// A file is a txtar archive: a comment, "request" and "want". The line ends of "request" are not sent; \r, \n, \t, \\ and \xHH stand for
// bytes, and \(N*TEXT) for N times TEXT. "want" has one response per line, in order: a status, 200 being the test app's and any other the
// server's own. A 200 is followed by what the app saw (see [Seen]). The last line is what becomes of the connection:
//
//	open        the next request on it is served
//	closed      the server ends it, and no request that follows reaches the app
//	unanswered  the server waits for more; as the client ends its side, the connection ends without another byte
package requests

import (
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

//go:embed *.txtar
var files embed.FS

// Case is one file of the table.
type Case struct {
	Name string
	Raw  []byte // what the client sends
	Want []Response
	End  string // "open", "closed" or "unanswered"
}

// Response is one that the client must get. Seen is what the app must have seen for it, where Status is 200.
type Response struct {
	Status int
	Seen   string
}

// All reads the table.
func All(t testing.TB) []Case {
	t.Helper()
	entries, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var cases []Case
	for _, e := range entries {
		b, err := files.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		c, err := parse(b)
		if err != nil {
			t.Fatalf("testdata/requests/%s: %v", e.Name(), err)
		}
		c.Name = strings.TrimSuffix(e.Name(), ".txtar")
		cases = append(cases, c)
	}
	return cases
}

func parse(b []byte) (c Case, err error) {
	a := txtar.Parse(b)
	if len(a.Files) != 2 || a.Files[0].Name != "request" || a.Files[1].Name != "want" || len(a.Comment) == 0 {
		return c, fmt.Errorf("it is not a comment, request and want")
	}
	raw, err := unescape(strings.ReplaceAll(string(a.Files[0].Data), "\n", ""))
	if err != nil {
		return c, err
	}
	c.Raw = []byte(raw)
	for line := range strings.Lines(string(a.Files[1].Data)) {
		text := strings.TrimSuffix(line, "\n")
		status, err := strconv.Atoi(text)
		switch {
		case c.End != "":
			return c, fmt.Errorf("%q comes after the end", text)
		case err == nil:
			c.Want = append(c.Want, Response{Status: status})
		case text == "open" || text == "closed" || text == "unanswered":
			c.End = text
		case len(c.Want) > 0:
			c.Want[len(c.Want)-1].Seen += line
		default:
			return c, fmt.Errorf("%q comes before the first status", text)
		}
	}
	if c.End == "" {
		return c, fmt.Errorf("it does not say what becomes of the connection")
	}
	return c, nil
}

// unescape replaces the escapes of a request.
func unescape(s string) (string, error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 || i+1 == len(s) {
			b.WriteString(s)
			return b.String(), nil
		}
		b.WriteString(s[:i])
		if s[i+1] != '(' {
			c, _, rest, err := strconv.UnquoteChar(s[i:], 0)
			if err != nil {
				return "", fmt.Errorf("%.10q: %w", s[i:], err)
			}
			b.WriteByte(byte(c))
			s = rest
			continue
		}
		group, rest, closed := strings.Cut(s[i+2:], ")")
		count, text, ok := strings.Cut(group, "*")
		n, err := strconv.Atoi(count)
		if !closed || !ok || err != nil {
			return "", fmt.Errorf(`%.20q is not \(N*TEXT)`, s[i:])
		}
		if text, err = unescape(text); err != nil {
			return "", err
		}
		b.WriteString(strings.Repeat(text, n))
		s = rest
	}
}

// perConnection are the variables that differ from run to run.
var perConnection = []string{"REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "SERVER_SOFTWARE"}

// Seen is what an app saw of a request: the variables that are text, sorted, and the body, a line each. Left out are those that differ from
// run to run, what is empty but for HTTP_*, SERVER_PROTOCOL where it is HTTP/1.1, and REQUEST_URI and RAW_URI where they are made of path and
// query without an escape. Long values are cut.
func Seen(environ map[string]string, body string) string {
	plain := environ["SCRIPT_NAME"] + environ["PATH_INFO"]
	if q := environ["QUERY_STRING"]; q != "" {
		plain += "?" + q
	}
	var lines []string
	for k, v := range environ {
		switch {
		case slices.Contains(perConnection, k), strings.HasPrefix(k, "wsgi."), strings.HasPrefix(k, "gowsgi."), v == "" && !strings.HasPrefix(k, "HTTP_"):
		case k == "SERVER_PROTOCOL" && v == "HTTP/1.1", (k == "REQUEST_URI" || k == "RAW_URI") && v == plain:
		default:
			lines = append(lines, k+"="+quote(v))
		}
	}
	slices.Sort(lines)
	if body != "" {
		lines = append(lines, "body="+quote(body))
	}
	return strings.Join(lines, "\n") + "\n"
}

func quote(v string) string {
	if len(v) > 300 {
		return fmt.Sprintf("%q and so on, %d bytes", v[:20], len(v))
	}
	return strconv.QuoteToASCII(v)
}
