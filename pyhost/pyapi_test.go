package pyhost

import (
	"debug/elf"
	"os"
	"regexp"
	"testing"
)

// apiRows are the functions of a list in pyapi.h.
func apiRows(t *testing.T, list string) []string {
	t.Helper()
	text, err := os.ReadFile("pyapi.h")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`#define ` + list + `\(X\)((?:.*\\\n)*.*\n)`).FindSubmatch(text)
	if block == nil {
		t.Fatalf("pyapi.h has no %s", list)
	}
	var names []string
	for _, m := range regexp.MustCompile(`X\([^,]+, (\w+), \(`).FindAllSubmatch(block[1], -1) {
		names = append(names, string(m[1]))
	}
	return names
}

func TestEveryLibpythonOfThisMachineHasTheFunctionsThatAreRequired(t *testing.T) {
	required := apiRows(t, "PYAPI")
	if len(required) < 60 {
		t.Fatalf("only %d rows were read from pyapi.h", len(required))
	}
	for _, p := range loadablePythons(t) {
		t.Run(p.Version, func(t *testing.T) {
			f, err := elf.Open(p.Library)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			symbols, err := f.DynamicSymbols()
			if err != nil {
				t.Fatal(err)
			}
			has := map[string]bool{}
			for _, s := range symbols {
				has[s.Name] = s.Section != elf.SHN_UNDEF && elf.ST_TYPE(s.Info) == elf.STT_FUNC
			}
			for _, name := range required {
				if !has[name] {
					t.Errorf("%s does not export %s", p.Library, name)
				}
			}
		})
	}
}
