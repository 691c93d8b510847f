package importer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

func TestTOMLHasEachValueWithWhereItIsFrom(t *testing.T) {
	r := &Result{Kind: UWSGI, Source: "u.ini"}
	at := from{Place{"/etc/u.ini", 3}, "option"}
	r.set("app", `it's "a"`+"\n:b", at)
	r.set("workers", "4", at, "why")
	r.set("preload", "true", at)
	r.set("max-worker-rss", "64m", at)
	r.set("limit-request-body", "1000", at)
	r.add("bind", ":1", at)
	r.add("bind", "unix:/s", at)
	r.add("certfile", "c", at)
	r.add("static", "/a b=/x=y", at)
	r.note(at, "a\x1b[31m\nb")
	r.needless("master")
	text := r.TOML()
	var tree map[string]any
	if err := toml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	static := tree["static"].(map[string]any)
	if tree["app"] != "it's \"a\"\n:b" || tree["workers"] != int64(4) || tree["preload"] != true || tree["max-worker-rss"] != "64m" || tree["limit-request-body"] != int64(1000) ||
		len(tree["bind"].([]any)) != 2 || tree["certfile"].([]any)[0] != "c" || static["/a b"] != "/x=y" {
		t.Errorf("got %v of\n%s", tree, text)
	}
	for _, want := range []string{"workers = 4  # u.ini:3: option; why\n", "#   u.ini:3: option: a?[31m?b\n", "# Nothing is needed for:\n#   master\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestValuesThatGowsgiWouldNotTakeBecomeNotes(t *testing.T) {
	for _, c := range []struct{ key, value string }{
		{"workers", "0"}, {"workers", "1001"}, {"workers", "many"}, {"workers", "-1"}, {"threads", "10001"}, {"app", ""}, {"app", "\xff"},
		{"limit-request-line", "2000000"}, {"limit-request-fields", "1001"}, {"max-requests", "99999999999999999999"},
	} {
		r := &Result{}
		r.set(c.key, c.value, from{Place{"f", 1}, "d"})
		if len(r.Settings) != 0 || len(r.Notes) != 1 {
			t.Errorf("%s = %q: %v, %v", c.key, c.value, r.Settings, r.Notes)
		}
	}
}

// FuzzImport holds that no text crashes a reader, and that what comes out is TOML.
func FuzzImport(f *testing.F) {
	names := []string{"u.ini", "u.yaml", "u.xml", "site.conf", "web.service", "Procfile", "Dockerfile", "start.sh"}
	for i, text := range []string{
		"[uwsgi]\nfor = a b\nmodule = %(_) $(X) @(y)\nendfor =\nsocket = /s\nif-env = X\nhttps = :1,c,k", "uwsgi:\n  a: [b]\n  static-map: /a=/b", "<uwsgi><a>b</a></uwsgi>",
		"<VirtualHost *:80>\nWSGIScriptAlias / \"/a b\" \\\n x=y\nDefine A ${A}\nCustomLog /x \"%h\"\n</VirtualHost>", "[Service]\nExecStart=-gunicorn $X -b '${Y}' a:b",
		"web: gunicorn -w ${A:-2} a:b", "CMD [\"gunicorn\", \"-b\", \":1\"]", "X=1 gunicorn \"$(nproc)\" -b \"a$X\" \"$@\" ${Y%z}",
	} {
		f.Add(i, text)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, kind int, text string) {
		path := filepath.Join(dir, names[uint(kind)%uint(len(names))])
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		o := onFourCPUs("X=1")
		o.Python = func() (string, error) { return "", os.ErrNotExist }
		r, err := File(path, o)
		if err != nil {
			return
		}
		var tree map[string]any
		if err := toml.Unmarshal([]byte(r.TOML()), &tree); err != nil {
			t.Errorf("%v\n%s", err, r.TOML())
		}
	})
}
