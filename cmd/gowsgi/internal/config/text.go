package config

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// texts are the values of a key as the command line would have them: one, or any number for a flag that can be repeated. Errors say where.
func (f *file) texts(v *kong.Value, e entry) ([]string, error) {
	at := func(line int, key string, value any) string {
		return fmt.Sprintf("%s:%d: %s = %s", f.name, line, key, show(value))
	}
	switch value := e.value.(type) {
	case []any:
		if !repeatable(v) {
			break
		}
		if len(value) == 0 {
			return nil, fmt.Errorf("%s: expected at least one value; leave the key out where there is none", at(e.line, e.key, value))
		}
		var all []string
		for _, one := range value {
			text, err := textOf(v, one)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %s: %s in the array: %w", f.name, e.line, e.key, show(one), err)
			}
			all = append(all, text)
		}
		return all, nil
	case map[string]any:
		if !takesTable(v) {
			break
		}
		var all []string
		for _, name := range slices.Sorted(maps.Keys(value)) {
			where := at(e.lines[name], e.key+"."+strconv.Quote(name), value[name])
			if strings.Contains(name, "=") {
				return nil, fmt.Errorf("%s: the name must not have a = in it", where)
			}
			text, err := plainText(reflect.TypeFor[string](), value[name])
			if err == nil {
				text = name + "=" + text
				err = try(v, join(v, []string{text}))
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", where, err)
			}
			all = append(all, text)
		}
		return all, nil
	}
	text, err := textOf(v, e.value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at(e.line, e.key, e.value), err)
	}
	return []string{text}, nil
}

// textOf is one value as the command line would have it.
func textOf(v *kong.Value, value any) (string, error) {
	text, err := plainText(single(v), value)
	if err != nil {
		return "", err
	}
	return text, try(v, join(v, []string{text}))
}

// plainText refuses values whose TOML type is not that of the flag: a number for a duration, a string for a number. A flag with a syntax of
// its own judges for itself.
func plainText(t reflect.Type, value any) (string, error) {
	own := ownSyntax(t)
	kind := t.Kind()
	switch value := value.(type) {
	case string:
		if own || kind == reflect.String || t == reflect.TypeFor[time.Duration]() {
			if value == "" {
				return "", errors.New("expected something; leave the key out where there is nothing to say")
			}
			return value, nil
		}
	case int64:
		if own || t != reflect.TypeFor[time.Duration]() && kind >= reflect.Int && kind <= reflect.Float64 {
			return strconv.FormatInt(value, 10), nil
		}
	case float64:
		if kind == reflect.Float32 || kind == reflect.Float64 {
			return strconv.FormatFloat(value, 'g', -1, 64), nil
		}
	case bool:
		if own || kind == reflect.Bool {
			return strconv.FormatBool(value), nil
		}
	}
	return "", errors.New("expected " + expected(t))
}

// try asks kong's decoder for the flag whether it takes a text.
func try(v *kong.Value, text string) error {
	target := reflect.New(v.Target.Type()).Elem()
	err := v.Mapper.Decode(&kong.DecodeContext{Value: v, Scan: kong.Scan().PushTyped(text, kong.FlagValueToken)}, target)
	if err != nil && !ownSyntax(single(v)) {
		return errors.New("expected " + expected(single(v)))
	}
	return err
}

// expected names what a flag of a type takes.
func expected(t reflect.Type) string {
	kind := t.Kind()
	switch {
	case ownSyntax(t):
		return "a string"
	case t == reflect.TypeFor[time.Duration]():
		return `a duration such as "30s", "5m" or "1h30m"`
	case kind == reflect.Bool:
		return "true or false"
	case kind >= reflect.Int && kind <= reflect.Uint64:
		return "a whole number"
	case kind == reflect.Float32 || kind == reflect.Float64:
		return "a number"
	}
	return "a string"
}

// single is the type of one value of a flag.
func single(v *kong.Value) reflect.Type {
	t := v.Target.Type()
	if v.IsSlice() || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func repeatable(v *kong.Value) bool {
	kind := v.Target.Kind()
	return kind == reflect.Slice || kind == reflect.Map
}

// takesTable says whether the flag's values are NAME=VALUE, which a table can be written for.
func takesTable(v *kong.Value) bool {
	return repeatable(v) && v.Flag != nil && strings.Contains(v.Flag.PlaceHolder, "=")
}

// ownSyntax says whether a type decodes texts itself.
func ownSyntax(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) || p.Implements(reflect.TypeFor[kong.MapperValue]())
}

// join makes one text of several, which kong takes apart again.
func join(v *kong.Value, texts []string) string {
	if v.IsSlice() {
		return kong.JoinEscaped(texts, v.Tag.Sep)
	}
	return strings.Join(texts, ",")
}

// show is a TOML value in an error.
func show(value any) string {
	switch value := value.(type) {
	case string:
		return strconv.Quote(value)
	case []any:
		if len(value) == 0 {
			return "[]"
		}
		return "[...]"
	case map[string]any:
		return "{...}"
	}
	return fmt.Sprint(value)
}
