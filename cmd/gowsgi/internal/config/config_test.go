package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// grammar has a flag of every kind.
type grammar struct {
	Serve struct {
		App      string        `arg:"" optional:""`
		Threads  int           `default:"16"`
		Ratio    float64       `default:"0.5"`
		Quick    bool          ``
		Wait     time.Duration `default:"30s"`
		Mode     string        `enum:"a,b" default:"a"`
		SpoolDir string        ``
		Colour   colour        `default:"red"`
		Colours  []colour      `default:"red"`
		Words    []string      ``
		Pairs    []pair        `placeholder:"NAME=VALUE"`
		Options  options       ``
		Config   string        ``
		Own      string        `env:"-"`
	} `cmd:""`
	Version struct {
		Short bool ``
	} `cmd:""`
}

// colour has a syntax of its own.
type colour string

func (c *colour) UnmarshalText(text []byte) error {
	switch string(text) {
	case "red", "green", "7":
		*c = colour(text)
		return nil
	}
	return fmt.Errorf("%q is no colour", text)
}

type pair struct{ name, value string }

func (p *pair) UnmarshalText(text []byte) error {
	var ok bool
	if p.name, p.value, ok = strings.Cut(string(text), "="); !ok || p.value == "bad" {
		return fmt.Errorf("%q is not NAME=VALUE", text)
	}
	return nil
}

func (p pair) String() string { return p.name + "=" + p.value }

// options is one value for kong, but can be repeated.
type options []string

func (o *options) Decode(ctx *kong.DecodeContext) error {
	for option := range strings.SplitSeq(ctx.Scan.Pop().String(), ",") {
		if !strings.HasPrefix(option, "-") {
			return fmt.Errorf("%q is no option", option)
		}
		*o = append(*o, option)
	}
	return nil
}

// source is what a test gives.
type source struct {
	file string // of gowsgi.toml
	env  map[string]string
	args []string
	dir  string // made where it is empty
}

func (in source) parse(t *testing.T) (*grammar, *kong.Context, *Sources, error) {
	t.Helper()
	if in.dir == "" {
		in.dir = t.TempDir()
		if in.file != "" {
			write(t, filepath.Join(in.dir, DefaultFile), in.file)
		}
	}
	if in.args == nil {
		in.args = []string{"serve"}
	}
	var g grammar
	s := &Sources{Dir: in.dir, Env: in.env}
	parser, err := kong.New(&g, kong.DefaultEnvars("GOWSGI"), kong.Resolvers(s))
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := parser.Parse(in.args)
	if s.Err() != nil {
		err = s.Err()
	}
	return &g, ctx, s, err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAFlagCountsBeforeAVariableBeforeTheFileBeforeTheDefault(t *testing.T) {
	const file = "threads = 3\nwords = ['file']\nwait = '3s'\nquick = true\napp = 'file'"
	env := map[string]string{"GOWSGI_THREADS": "2", "GOWSGI_WORDS": "env,too", "GOWSGI_WAIT": "2s", "GOWSGI_QUICK": "false", "GOWSGI_APP": "env"}
	for _, c := range []struct {
		in   source
		want string
	}{
		{source{}, "16 [] 30s false "},
		{source{file: file}, "3 [file] 3s true file"},
		{source{file: file, env: env}, "2 [env too] 2s false env"},
		{source{file: file, env: env, args: []string{"serve", "--threads=1", "--words=flag", "--wait=1s", "--quick", "flag"}}, "1 [flag] 1s true flag"},
		{source{file: file, args: []string{"serve", "--threads=1", "--words=flag", "--wait=1s", "flag"}}, "1 [flag] 1s true flag"},
		{source{env: env}, "2 [env too] 2s false env"},
		{source{file: file, env: map[string]string{"GOWSGI_THREADS": "", "GOWSGI_WAIT": "", "GOWSGI_APP": ""}}, "3 [file] 3s true file"}, // empty: not set
	} {
		g, _, _, err := c.in.parse(t)
		s := g.Serve
		if got := fmt.Sprint(s.Threads, " ", s.Words, " ", s.Wait, " ", s.Quick, " ", s.App); err != nil || got != c.want {
			t.Errorf("%+v:\n got %s, %v\nwant %s", c.in, got, err, c.want)
		}
	}
}

func TestTheFileHasValuesOfTOMLsOwnTypes(t *testing.T) {
	for file, want := range map[string]string{
		"":                              "16 0.5 30s a  red [red] [] [] []",
		"threads = 0x10":                "16 0.5 30s a  red [red] [] [] []",
		"ratio = 2":                     "16 2 30s a  red [red] [] [] []",
		"ratio = 2.5e-1":                "16 0.25 30s a  red [red] [] [] []",
		"wait = '1h30m'":                "16 0.5 1h30m0s a  red [red] [] [] []",
		"mode = 'b'":                    "16 0.5 30s b  red [red] [] [] []",
		"spool-dir = 'a,b'":             "16 0.5 30s a a,b red [red] [] [] []",
		"colour = 7":                    "16 0.5 30s a  7 [red] [] [] []",
		"colours = 'green'":             "16 0.5 30s a  red [green] [] [] []",
		"colours = ['green', 7]":        "16 0.5 30s a  red [green 7] [] [] []",
		"words = ['a,b', 'c']":          "16 0.5 30s a  red [red] [a,b c] [] []",
		"words = 'a,b'":                 "16 0.5 30s a  red [red] [a,b] [] []",
		"pairs = ['x=1', 'y=2']":        "16 0.5 30s a  red [red] [] [x=1 y=2] []",
		"[pairs]\ny = '2'\n'/x' = '1'":  "16 0.5 30s a  red [red] [] [/x=1 y=2] []",
		"pairs = {y = '2', 'x,' = '1'}": "16 0.5 30s a  red [red] [] [x,=1 y=2] []",
		"pairs.'/x' = '1'":              "16 0.5 30s a  red [red] [] [/x=1] []",
		"options = ['-a', '-b']":        "16 0.5 30s a  red [red] [] [] [-a -b]",
	} {
		g, _, _, err := source{file: file}.parse(t)
		s := g.Serve
		got := fmt.Sprint(s.Threads, " ", s.Ratio, " ", s.Wait, " ", s.Mode, " ", s.SpoolDir, " ", s.Colour, " ", s.Colours, " ", s.Words, " ",
			s.Pairs, " ", s.Options)
		if err != nil || got != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", file, got, err, want)
		}
	}
}

func TestAWrongFileIsAnErrorThatSaysWhereAndWhatIsExpected(t *testing.T) {
	for file, want := range map[string]string{
		// Not TOML.
		"\nthreads = \n":             "gowsgi.toml:2:11: unexpected character U+000A at start of value",
		"threads 4":                  "gowsgi.toml:1:9: expected '=' after key",
		"spool-dir = \"a\n":          "gowsgi.toml:1:15: basic strings cannot have new lines",
		"words = ['a',\n'b'":         "gowsgi.toml:2:3: array is incomplete",
		"threads = 1\n\nthreads = 2": "gowsgi.toml:3:1: key threads is already defined",
		"[pairs]\n[pairs]":           "gowsgi.toml:2:2: table pairs already exists",
		"spool-dir = \"\xff\"":       "gowsgi.toml:1:14: invalid UTF-8 character",
		"threads = 4 # \x00":         "gowsgi.toml:1:15: ",

		// Unknown keys.
		"thread = 4":                "gowsgi.toml:1: unknown key \"thread\"; the nearest known one is \"threads\"",
		"\n\nspool_dir = 'x'":       "gowsgi.toml:3: unknown key \"spool_dir\"; the nearest known one is \"spool-dir\"",
		"Threads = 4":               "gowsgi.toml:1: unknown key \"Threads\"; the nearest known one is \"threads\"",
		"SPOOL_DIR = 'x'":           "gowsgi.toml:1: unknown key \"SPOOL_DIR\"; the nearest known one is \"spool-dir\"",
		"config = 'other.toml'":     "gowsgi.toml:1: unknown key \"config\"; the nearest known one is ",
		"help = true":               "gowsgi.toml:1: unknown key \"help\"; the nearest known one is ",
		"own = 'x'":                 "gowsgi.toml:1: unknown key \"own\"; the nearest known one is ",
		"short = true":              "gowsgi.toml:1: unknown key \"short\"; the nearest known one is ", // of a command that takes no file
		"'' = 1":                    "gowsgi.toml:1: unknown key \"\"; the nearest known one is ",
		"[serve]\nthreads = 4":      "gowsgi.toml:1: unknown key \"serve\"; the nearest known one is ",
		"threads = 1\n[[mod]]\na=1": "gowsgi.toml:2: unknown key \"mod\"; the nearest known one is \"mode\"",
		"mod.e = 1":                 "gowsgi.toml:1: unknown key \"mod\"; the nearest known one is \"mode\"",

		// Wrong types.
		"threads = '4'":                         "gowsgi.toml:1: threads = \"4\": expected a whole number",
		"threads = 4.5":                         "gowsgi.toml:1: threads = 4.5: expected a whole number",
		"threads = true":                        "gowsgi.toml:1: threads = true: expected a whole number",
		"threads = [4]":                         "gowsgi.toml:1: threads = [...]: expected a whole number",
		"threads.a = 4":                         "gowsgi.toml:1: threads = {...}: expected a whole number",
		"[threads]\na = 4":                      "gowsgi.toml:1: threads = {...}: expected a whole number",
		"threads = 2020-01-01":                  "gowsgi.toml:1: threads = 2020-01-01: expected a whole number",
		"ratio = 'x'":                           "gowsgi.toml:1: ratio = \"x\": expected a number",
		"quick = 'true'":                        "gowsgi.toml:1: quick = \"true\": expected true or false",
		"quick = 1":                             "gowsgi.toml:1: quick = 1: expected true or false",
		"wait = 30":                             "gowsgi.toml:1: wait = 30: expected a duration such as \"30s\", \"5m\" or \"1h30m\"",
		"wait = '30'":                           "gowsgi.toml:1: wait = \"30\": expected a duration such as \"30s\", \"5m\" or \"1h30m\"",
		"wait = 07:32:00":                       "gowsgi.toml:1: wait = 07:32:00: expected a duration such as",
		"spool-dir = 4":                         "gowsgi.toml:1: spool-dir = 4: expected a string",
		"spool-dir = ''":                        "gowsgi.toml:1: spool-dir = \"\": expected something; leave the key out",
		"app = ['a']":                           "gowsgi.toml:1: app = [...]: expected a string",
		"colour = 'blue'":                       "gowsgi.toml:1: colour = \"blue\": \"blue\" is no colour",
		"colour = 8":                            "gowsgi.toml:1: colour = 8: \"8\" is no colour",
		"colour = 7.0":                          "gowsgi.toml:1: colour = 7: expected a string",
		"words = []":                            "gowsgi.toml:1: words = []: expected at least one value",
		"words = ['a', 4]":                      "gowsgi.toml:1: words: 4 in the array: expected a string",
		"words = ['a', '']":                     "gowsgi.toml:1: words: \"\" in the array: expected something",
		"words = ['a', ['b']]":                  "gowsgi.toml:1: words: [...] in the array: expected a string",
		"words.a = 'b'":                         "gowsgi.toml:1: words = {...}: expected a string",
		"colours = ['red', 'x']":                "gowsgi.toml:1: colours: \"x\" in the array: \"x\" is no colour",
		"options = ['a']":                       "gowsgi.toml:1: options: \"a\" in the array: \"a\" is no option",
		"[pairs]\na = '1'\n\nb = 'bad'":         "gowsgi.toml:4: pairs.\"b\" = \"bad\": \"b=bad\" is not NAME=VALUE",
		"[pairs]\na = 1":                        "gowsgi.toml:2: pairs.\"a\" = 1: expected a string",
		"pairs = {a = '1', b = 1}":              "gowsgi.toml:1: pairs.\"b\" = 1: expected a string",
		"[pairs.a]\nb = '1'":                    "gowsgi.toml:1: pairs.\"a\" = {...}: expected a string",
		"[pairs]\n'a=b' = '1'":                  "gowsgi.toml:2: pairs.\"a=b\" = \"1\": the name must not have a = in it",
		"[[pairs]]\na = '1'":                    "gowsgi.toml:1: pairs: {...} in the array: expected a string",
		"mode = 'a'\nthreads = 'x'\nthread = 1": "gowsgi.toml:2: threads = \"x\": expected a whole number\ngowsgi.toml:3: unknown key \"thread\"; the nearest known one is \"threads\"",
	} {
		_, _, _, err := source{file: file}.parse(t)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Count(err.Error(), "\n") != strings.Count(want, "\n") {
			t.Errorf("%q:\n got %v\nwant %s", file, err, want)
		}
	}
}

func TestAWrongVariableIsAnErrorThatNamesIt(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"GOWSGI_THREAD", "4", "unknown variable GOWSGI_THREAD; the nearest known one is GOWSGI_THREADS"},
		{"GOWSGI_SPOOLDIR", "", "unknown variable GOWSGI_SPOOLDIR; the nearest known one is GOWSGI_SPOOL_DIR"},
		{"GOWSGI_CONFI", "x", "unknown variable GOWSGI_CONFI; the nearest known one is GOWSGI_CONFIG"},
		{"GOWSGI_PORT", "8000", "unknown variable GOWSGI_PORT; the nearest known one is "},
		{"GOWSGI_", "x", "unknown variable GOWSGI_; the nearest known one is "},
		{"GOWSGI_THREADS", "many", "GOWSGI_THREADS=\"many\": expected a whole number"},
		{"GOWSGI_WAIT", "30", "GOWSGI_WAIT=\"30\": expected a duration such as \"30s\", \"5m\" or \"1h30m\""},
		{"GOWSGI_QUICK", "maybe", "GOWSGI_QUICK=\"maybe\": expected true or false"},
		{"GOWSGI_COLOUR", "blue", "GOWSGI_COLOUR=\"blue\": \"blue\" is no colour"},
		{"GOWSGI_PAIRS", "a=1,b", "GOWSGI_PAIRS=\"a=1,b\": \"b\" is not NAME=VALUE"},
	} {
		// The command line overrides the variable, and still it is wrong.
		for _, args := range [][]string{{"serve"}, {"serve", "--threads=4", "--wait=1s", "--quick", "--colour=red", "--pairs=a=1"}} {
			_, _, _, err := source{env: map[string]string{c.name: c.value}, args: args}.parse(t)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s=%s %q:\n got %v\nwant %s", c.name, c.value, args, err, c.want)
			}
		}
	}
}

func TestWhatKubernetesSetsForAServiceIsNoUnknownVariable(t *testing.T) {
	_, _, _, err := source{env: map[string]string{
		"GOWSGI_SERVICE_HOST": "10.0.0.1", "GOWSGI_SERVICE_PORT": "80", "GOWSGI_SERVICE_PORT_HTTP": "80", "GOWSGI_PORT": "tcp://10.0.0.1:80",
		"GOWSGI_PORT_80_TCP": "tcp://10.0.0.1:80", "GOWSGI_PORT_80_TCP_PROTO": "tcp", "GOWSGI_PORT_80_TCP_PORT": "80",
		"GOWSGI_PORT_80_TCP_ADDR": "10.0.0.1", "GOWSGI_CANARY_SERVICE_HOST": "10.0.0.2", "GOWSGI_CANARY_PORT": "tcp://10.0.0.2:80",
	}}.parse(t)
	if err != nil {
		t.Error(err)
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	_, _, _, err := source{file: "threads = 'x'\n\nnope = 1", env: map[string]string{"GOWSGI_WAIT": "x", "GOWSGI_NOPE": "1"}}.parse(t)
	want := `gowsgi.toml:1: threads = "x": expected a whole number
gowsgi.toml:3: unknown key "nope"; the nearest known one is "mode"
unknown variable GOWSGI_NOPE; the nearest known one is GOWSGI_MODE
GOWSGI_WAIT="x": expected a duration such as "30s", "5m" or "1h30m"`
	if err == nil || cmp.Diff(want, err.Error()) != "" {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestTheFileIsTheOneNamedElseGowsgiTomlWhereItIs(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, DefaultFile), "threads = 1")
	write(t, filepath.Join(dir, "two.toml"), "threads = 2")
	write(t, filepath.Join(other, "three.toml"), "threads = 3")
	t.Chdir(other) // the paths are relative to Dir wherever the process is by now
	three := filepath.Join(other, "three.toml")
	for _, c := range []struct {
		dir    string
		args   []string
		env    map[string]string
		want   int
		failed string
	}{
		{dir, nil, nil, 1, ""},
		{other, nil, nil, 16, ""},
		{dir, []string{"serve", "--config=two.toml"}, nil, 2, ""},
		{dir, nil, map[string]string{"GOWSGI_CONFIG": "two.toml"}, 2, ""},
		{dir, nil, map[string]string{"GOWSGI_CONFIG": ""}, 1, ""},
		{dir, []string{"serve", "--config", three}, map[string]string{"GOWSGI_CONFIG": "two.toml"}, 3, ""},
		{dir, []string{"serve", "--config=no.toml"}, nil, 0, "can't read the configuration no.toml: no such file or directory"},
		{dir, nil, map[string]string{"GOWSGI_CONFIG": "/no/no.toml"}, 0, "can't read the configuration /no/no.toml: no such file or directory"},
		{dir, []string{"serve", "--config=."}, nil, 0, "can't read the configuration .: is a directory"},
	} {
		g, _, _, err := source{dir: c.dir, args: c.args, env: c.env}.parse(t)
		if c.failed != "" {
			if err == nil || err.Error() != c.failed {
				t.Errorf("%q %v: got %v, want %s", c.args, c.env, err, c.failed)
			}
		} else if err != nil || g.Serve.Threads != c.want {
			t.Errorf("%q %v: got %d, %v, want %d", c.args, c.env, g.Serve.Threads, err, c.want)
		}
	}
}

func TestACommandWithoutAConfigurationReadsNone(t *testing.T) {
	in := source{file: "nonsense", env: map[string]string{"GOWSGI_NOPE": "1", "GOWSGI_SHORT": "true"}, args: []string{"version"}}
	if g, _, _, err := in.parse(t); err != nil || g.Version.Short {
		t.Errorf("short %v, %v", g.Version.Short, err)
	}
}

func TestEverySettingIsListedWithWhereItIsFrom(t *testing.T) {
	in := source{
		file: "threads = 3\nwait = '90m'\nratio = 1\ncolours = ['red', 7]\n[pairs]\na = '1'",
		env:  map[string]string{"GOWSGI_APP": "mine", "GOWSGI_RATIO": "2", "GOWSGI_MODE": "b", "GOWSGI_WORDS": "x,y"},
		args: []string{"serve", "--mode=a", "--threads=16"},
	}
	_, ctx, s, err := in.parse(t)
	if err != nil {
		t.Fatal(err)
	}
	want := []Setting{
		{"app", "mine", "GOWSGI_APP"}, {"threads", "16", "flag"}, {"ratio", "2", "GOWSGI_RATIO"}, {"quick", "false", "default"},
		{"wait", "1h30m", "gowsgi.toml:2"}, {"mode", "a", "flag"}, {"spool-dir", "", "default"}, {"colour", "red", "default"},
		{"colours", "red, 7", "gowsgi.toml:4"}, {"words", "x, y", "GOWSGI_WORDS"}, {"pairs", "a=1", "gowsgi.toml:5"}, {"options", "", "default"},
		{"config", "gowsgi.toml", "default"}, {"own", "", "default"},
	}
	if diff := cmp.Diff(want, s.Settings(ctx)); diff != "" {
		t.Error(diff)
	}
}

func TestAnErrorThatNamesAFlagSaysWhereItsValueIsFrom(t *testing.T) {
	in := source{
		file: "threads = 3\nwait = '1s'\nspool-dir = 'x'\nratio = 1", env: map[string]string{"GOWSGI_WAIT": "2s"},
		args: []string{"serve", "--ratio=2"},
	}
	_, _, s, err := in.parse(t)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"--threads and --spool-dir don't fit; --threads is too small": "--threads and --spool-dir don't fit; --threads is too small " +
			"(--threads is from gowsgi.toml:1, --spool-dir is from gowsgi.toml:3)",
		"--wait is negative":    "--wait is negative (--wait is from GOWSGI_WAIT)",
		"--ratio is given":      "--ratio is given",
		"--colour is a default": "--colour is a default",
		"no flag":               "no flag",
	} {
		if got := s.Explain(fmt.Errorf("%s", text)).Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	_, _, s, err = source{file: "\nmode = 'c'"}.parse(t)
	if err == nil || !strings.HasSuffix(s.Explain(err).Error(), "(--mode is from gowsgi.toml:2)") {
		t.Errorf("a value that is none of a list: %v", s.Explain(err))
	}
}

func FuzzAFileIsReadOrRefusedWithItsPlace(f *testing.F) {
	for _, seed := range []string{
		"threads = 4", "[pairs]\n'/a' = 'b'", "a.b.c = 1\n[[d]]\ne = {f = [1, 'x']}", "a = '''\n\n'''\nb = 2", "a=\r\nb", "\"\\u0041\" = 1979-05-27",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := strings.Count(string(data), "\n") + 1
		file, err := parse(data, "x.toml")
		if err != nil {
			var line, column int
			if n, _ := fmt.Sscanf(err.Error(), "x.toml:%d:%d: ", &line, &column); n != 2 || line < 1 || line > lines || column < 1 {
				t.Fatalf("no place, or one that is not there: %v", err)
			}
			return
		}
		for _, e := range file.entries {
			if e.line < 1 || e.line > lines || e.value == nil {
				t.Fatalf("%q is in line %d of %d: %v", e.key, e.line, lines, e.value)
			}
			if table, ok := e.value.(map[string]any); ok {
				for name := range table {
					if line := e.lines[name]; line < 1 || line > lines {
						t.Fatalf("%q of %q is in line %d of %d", name, e.key, line, lines)
					}
				}
			}
		}
	})
}
