package project

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"

	"github.com/joho/godotenv"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/lazyregexp"
)

// readDotenv reads .flaskenv and .env as flask.cli.load_dotenv does: each in the nearest folder from the project's upwards, the second counts
// before the first, and FLASK_SKIP_DOTENV leaves both out.
func (f *finder) readDotenv() {
	switch strings.ToLower(f.env("FLASK_SKIP_DOTENV")) {
	case "", "0", "false", "no":
	default:
		return
	}
	f.dotenv = map[string]string{}
	for _, name := range []string{".flaskenv", ".env"} {
		if path := above(f.dir, name); path != "" {
			values := f.dotenvFile(path)
			maps.Copy(f.dotenv, values)
			if values["FLASK_APP"] != "" {
				f.dotenvNaming = f.relative(path)
			}
		}
	}
}

// above is the file of a name in dir, or in the nearest folder above.
func above(dir, name string) string {
	for {
		if path := filepath.Join(dir, name); isFile(path) {
			return path
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// dollar stands for a dollar sign while godotenv parses: it takes $x for a variable, and python-dotenv only ${x}.
const dollar = "\uE000"

// reference is python-dotenv's, with a default after ":-".
var reference = lazyregexp.New(`\$\{([^}:]*)(?::-([^}]*))?\}`)

func (f *finder) dotenvFile(path string) map[string]string {
	data, err := read(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			f.warn("can't read %s: %v", f.relative(path), cause(err))
		}
		return nil
	}
	content := strings.ReplaceAll(strings.TrimPrefix(string(data), "\uFEFF"), "$", dollar)
	content = strings.ReplaceAll(content, "\r\n", "\n")
	values, err := godotenv.Unmarshal(content)
	if err != nil {
		// Line by line all but the wrong ones are had, as from python-dotenv.
		values = map[string]string{}
		number := 0
		for line := range strings.Lines(content) {
			number++
			one, err := godotenv.Unmarshal(line)
			if err != nil {
				f.warn("%s:%d is not NAME=VALUE, and is left out", f.relative(path), number)
			}
			maps.Copy(values, one)
		}
	}
	for name, value := range values {
		values[name] = strings.ReplaceAll(value, dollar, "$")
	}
	return f.expand(values)
}

// expand puts in what the values refer to: variables of the environment, then of the file.
func (f *finder) expand(values map[string]string) map[string]string {
	expanded := map[string]string{}
	for name, value := range values {
		expanded[name] = reference().ReplaceAllStringFunc(value, func(text string) string {
			m := reference().FindStringSubmatch(text)
			for _, found := range []string{f.env(m[1]), values[m[1]], m[2]} {
				if found != "" {
					return found
				}
			}
			return ""
		})
	}
	return expanded
}
