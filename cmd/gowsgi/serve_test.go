package main

import "testing"

func TestSettingsThatAreTooLargeAreRefused(t *testing.T) {
	for _, flag := range []string{
		"--backlog=4294967296", "--graceful-timeout=2562047h", "--max-requests=9223372036854775807", "--health-path=/%zz", "--health-path=health",
	} {
		if code, _, log := runCommand(t, command("serve", flag, "site_app")); code != exitUsage {
			t.Errorf("%s: code %d, %s", flag, code, log)
		}
	}
}
