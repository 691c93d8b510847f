package devpy

import (
	"os/exec"
	"testing"
)

func TestTheErrorPagePassesItsOwnTests(t *testing.T) {
	for version, python := range venvs(t) {
		t.Run(version, func(t *testing.T) {
			cmd := exec.Command(python, "-W", "error::ResourceWarning", "-B", "-m", "unittest", "-q", "errors_test", "errors_page_test", "errors_values_test", "errors_frameworks_test")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", cmd, err, out)
			}
		})
	}
}
