package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/project"
)

// TestAProjectThatDjangoMadeIsFoundAndLoads has what the Django of the virtualenv makes, here and in a sub-folder.
func TestAProjectThatDjangoMadeIsFoundAndLoads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runPython(t, dir, "-m", "django", "startproject", "mysite")
	for _, from := range []string{filepath.Join(dir, "mysite"), dir} {
		app := findAndLoad(t, from)
		if app.Spec != "mysite.wsgi:application" || app.Framework != "Django" || app.Dir != filepath.Join(dir, "mysite") || app.Env["DJANGO_SETTINGS_MODULE"] != "mysite.settings" {
			t.Errorf("in %s: %+v", from, app)
		}
	}
	// Without the file that WSGI_APPLICATION names, and without that setting.
	settings := filepath.Join(dir, "mysite", "mysite", "settings.py")
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settings, []byte(strings.ReplaceAll(string(text), "WSGI_APPLICATION", "NOTHING")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "mysite", "mysite", "wsgi.py")); err != nil {
		t.Fatal(err)
	}
	if app := findAndLoad(t, dir); app.Spec != "django.core.wsgi:get_wsgi_application()" {
		t.Errorf("%+v", app)
	}
}

func TestAFlaskFactoryIsFoundAndLoads(t *testing.T) {
	t.Parallel()
	dir := projectOf(t,
		"pyproject.toml", "[project]\nname = \"My.Shop\"\n",
		".flaskenv", "SHOP_NAME=corner\n",
		"src/my_shop/__init__.py", "from .factory import make_app\n",
		"src/my_shop/factory.py", "import os\nfrom flask import Flask\n\ndef make_app(name=os.environ['SHOP_NAME']):\n    return Flask(name)\n",
	)
	if app := findAndLoad(t, dir); app.Spec != "my_shop:make_app()" || app.Framework != "Flask" {
		t.Errorf("%+v", app)
	}
}

// findAndLoad finds the app of a folder and has "gowsgi check" import it.
func findAndLoad(t *testing.T, dir string) *project.App {
	t.Helper()
	app, err := project.Find(dir, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	c := command(append([]string{"check", "--chdir", app.Dir, app.Spec}, python.args...)...)
	for name, value := range app.Env {
		c.Env = append(c.Env, name+"="+value)
	}
	if out, code := runToEnd(t, c); code != 0 || !strings.Contains(out, app.Framework) {
		t.Errorf("%s in %s: exit code %d\n%s", app, app.Dir, code, out)
	}
	return app
}
