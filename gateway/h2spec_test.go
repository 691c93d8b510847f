package gateway

import (
	"encoding/xml"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/summerwind/h2spec"
	"github.com/summerwind/h2spec/config"
)

// h2specExceptions are cases that net/http decides otherwise, before the gateway sees anything.
var h2specExceptions = map[string]string{
	"http2/6.5.3 Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE":                                            "a SETTINGS frame that has an entry twice ends the connection, as a defence",
	"http2/8.1.2.2 Sends a HEADERS frame that contains the connection-specific header field":                       "it is answered 400, which RFC 9113 section 8.1.1 allows",
	"http2/8.1.2.2 Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"": "it is answered 400, too",
}

// TestHTTP2PassesH2Spec runs all cases of h2spec: what is to be answered, and which errors end a stream or the connection.
func TestHTTP2PassesH2Spec(t *testing.T) {
	ts := serveTLS(t, func(r *fakeRequest) {
		_, _ = io.Copy(io.Discard, r)
		r.Reply("200 OK", plainText, strings.Repeat("fine", 1000))
	})
	t.Cleanup(runtime.GC) // h2spec leaves connections open
	report := filepath.Join(t.TempDir(), "report.xml")
	_, err := h2spec.Run(&config.Config{
		Host: "127.0.0.1", Port: ts.addr.(*net.TCPAddr).Port, Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000, TLS: true, Insecure: true, Strict: true,
		JUnitReport: report,
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Suites []struct {
			Cases []struct {
				Section string    `xml:"package,attr"`
				Name    string    `xml:"classname,attr"`
				Error   string    `xml:"error"`
				Failure string    `xml:"failure"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, s := range suites.Suites {
		for _, c := range s.Cases {
			name := c.Section + " " + c.Name
			switch _, excepted := h2specExceptions[name]; {
			case excepted:
			case c.Failure != "" || c.Error != "" || c.Skipped != nil:
				t.Errorf("%s: %s%s", name, c.Failure, c.Error)
			default:
				passed++
			}
		}
	}
	const all = 146
	if passed+len(h2specExceptions) != all {
		t.Errorf("%d of %d cases passed", passed, all)
	}
}
