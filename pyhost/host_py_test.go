package pyhost

import (
	"os/exec"
	"testing"
)

func TestTheHelpersInPythonPassTheirOwnTestsOnEveryVersion(t *testing.T) {
	for _, p := range loadablePythons(t) {
		t.Run(p.Version, func(t *testing.T) {
			cmd := exec.Command(p.Executable, "-W", "error::ResourceWarning", "-B", "-m", "unittest", "-q", "test_host")
			cmd.Dir = "py"
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", p.Executable, err, out)
			}
		})
	}
}
