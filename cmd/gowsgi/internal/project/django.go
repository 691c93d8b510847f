package project

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

const settingsVariable = "DJANGO_SETTINGS_MODULE"

// djangoHere is the Django project of a manage.py here.
func (f *finder) djangoHere() (*App, error) {
	return f.django(f.dir)
}

// djangoBelow is the Django project in the only sub-folder with one, or one that has no manage.py and is named by the environment.
func (f *finder) djangoBelow() (*App, error) {
	var below []string
	for _, dir := range folders(f.dir) {
		if f.isDjango(dir) {
			below = append(below, dir)
		}
	}
	switch len(below) {
	case 0:
		f.look("manage.py of Django, here and in the folders here", "none")
	case 1:
		return f.django(below[0])
	default:
		var names []string
		for _, dir := range below {
			names = append(names, f.relative(filepath.Join(dir, "manage.py")))
		}
		return nil, fmt.Errorf("several Django projects: %s; choose one: --chdir %s", strings.Join(names, ", "), f.relative(below[0]))
	}
	settings := f.env(settingsVariable)
	if settings == "" {
		return nil, nil
	}
	for _, root := range []string{f.dir, filepath.Join(f.dir, "src")} {
		if resolve(root, settings) != "" {
			return f.site(root, settings, settingsVariable+" is "+settings), nil
		}
	}
	f.look(settingsVariable, settings+", which is not in this folder")
	return nil, nil
}

// isDjango tells Django's manage.py from one of others, such as Flask-Script.
func (f *finder) isDjango(dir string) bool {
	src := f.source(filepath.Join(dir, "manage.py"))
	if src == nil {
		return false
	}
	names, dynamic := src.settings()
	return dynamic || len(names) > 0 || slices.ContainsFunc(src.imports, func(m string) bool { return m == "django" || strings.HasPrefix(m, "django.") })
}

func (f *finder) django(dir string) (*App, error) {
	if !f.isDjango(dir) {
		return nil, nil
	}
	manage := f.relative(filepath.Join(dir, "manage.py"))
	settings, why := f.env(settingsVariable), ""
	if settings != "" {
		why = settingsVariable + " is " + settings
	} else {
		var err error
		if settings, err = f.managedSettings(dir); err != nil {
			return nil, fmt.Errorf("%s: %w", manage, err)
		}
		if settings == "" {
			return nil, fmt.Errorf("%s does not say which settings it uses: set %s", manage, settingsVariable)
		}
		why = manage + " names " + settings
	}
	return f.site(f.rootOf(dir, settings), settings, why), nil
}

// rootOf is the folder that settings are imported from: that of manage.py, or one in it that manage.py puts on sys.path.
func (f *finder) rootOf(dir, settings string) string {
	if resolve(dir, settings) != "" {
		return dir
	}
	var roots []string
	for _, root := range folders(dir) {
		if resolve(root, settings) != "" {
			roots = append(roots, root)
		}
	}
	if len(roots) == 1 {
		return roots[0]
	}
	return dir
}

// site is the app of a Django project: what WSGI_APPLICATION names, as for runserver, else the wsgi.py beside the settings, else Django's own.
func (f *finder) site(root, settings, why string) *App {
	app := &App{Framework: "Django", Dir: root, Env: map[string]string{settingsVariable: settings}}
	path := resolve(root, settings)
	if module, name, ok := cutLast(f.wsgiApplication(root, path), '.'); ok {
		app.Spec = module + ":" + name
		app.Why = why + ", whose WSGI_APPLICATION is " + module + "." + name
		return app
	}
	for module := settings; module != ""; {
		module, _, _ = cutLast(module, '.')
		beside := strings.TrimPrefix(module+".wsgi", ".")
		if wsgi := resolve(root, beside); wsgi != "" {
			if f.callable(root, wsgi, "application") != "" {
				app.Spec = beside + ":application"
				app.Why = fmt.Sprintf("%s, and %s has application", why, f.relative(wsgi))
				return app
			}
		}
	}
	app.Spec = "django.core.wsgi:get_wsgi_application()"
	if app.Why = why + ", which has no WSGI_APPLICATION"; path == "" {
		app.Why = why + ", which is not in " + root
	}
	return app
}

// cutLast cuts at the last separator; without one all is after it.
func cutLast(s string, separator byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, separator)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// wsgiApplication is the setting WSGI_APPLICATION in the settings at path, "" where it is not there or no plain string. What the settings
// import by * counts, in its order.
func (f *finder) wsgiApplication(root, path string) string {
	return f.ask(question{"setting", root, path, "WSGI_APPLICATION"}, func(src *source) string {
		for _, b := range slices.Backward(src.bindings) {
			switch {
			case b.kind == importedAll, b.kind == importedName && b.name == "WSGI_APPLICATION":
				file, _ := f.imported(root, path, b.module)
				if value := f.wsgiApplication(root, file); value != "" {
					return value
				}
			case b.kind == assigned && b.name == "WSGI_APPLICATION":
				if value, _ := text(b.raw); moduleName().MatchString(value) {
					return value
				}
				return ""
			}
		}
		return ""
	})
}

var (
	literal = lazyregexp.New(`"\x01*"`)
	// setting follows the variable's name in os.environ.setdefault("...", "x"), os.environ["..."] = "x" and the like.
	setting = lazyregexp.New(`^\s*(?:,|\]\s*=[^=])\s*([rRuU]?("\x01*")\s*(?:[,)]|$))?`)
)

// settings are what the source gives DJANGO_SETTINGS_MODULE, each value once. It is dynamic where an expression gives one.
func (s *source) settings() (names []string, dynamic bool) {
	for _, st := range s.statements {
		for _, at := range literal().FindAllStringIndex(st.code, -1) {
			if name, _ := text(st.raw[at[0]:at[1]]); name != settingsVariable {
				continue
			}
			m := setting().FindStringSubmatchIndex(st.code[at[1]:])
			if m == nil {
				continue
			}
			value := ""
			if m[4] >= 0 {
				value, _ = text(st.raw[at[1]+m[4] : at[1]+m[5]])
			}
			if !moduleName().MatchString(value) {
				dynamic = true
			} else if !slices.Contains(names, value) {
				names = append(names, value)
			}
		}
	}
	return names, dynamic
}

// forTests and forWork tell the settings of a list by their names.
var (
	forTests = lazyregexp.New(`(?i)test|\bci\b`)
	forWork  = lazyregexp.New(`(?i)(?:^|[._])(?:local|dev|devel|development|debug)(?:$|[._])`)
)

// managedSettings are the settings that manage.py in dir takes when nothing else is said, "" where it does not say. Of several those for
// tests don't count, and those for development do first.
func (f *finder) managedSettings(dir string) (string, error) {
	src := f.source(filepath.Join(dir, "manage.py"))
	if src == nil {
		return "", nil
	}
	names, _ := src.settings()
	if len(names) == 0 {
		names = f.settingsIn(dir)
	}
	if plain := slices.DeleteFunc(slices.Clone(names), forTests().MatchString); len(plain) > 0 {
		names = plain
	}
	if own := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !forWork().MatchString(n) }); len(own) == 1 {
		names = own
	}
	switch len(names) {
	case 0:
		return "", nil
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf("several settings: %s; set %s to one of them", strings.Join(names, ", "), settingsVariable)
}

// settingsIn are the settings in the packages of a folder: what the wsgi.py there names, else the module settings.
func (f *finder) settingsIn(dir string) (names []string) {
	for _, folder := range folders(dir) {
		if src := f.source(filepath.Join(folder, "wsgi.py")); src != nil {
			found, _ := src.settings()
			names = append(names, found...)
		}
	}
	if len(names) > 0 {
		return names
	}
	for _, folder := range folders(dir) {
		if name := filepath.Base(folder); resolve(dir, name+".settings") != "" {
			names = append(names, name+".settings")
		}
	}
	return names
}
