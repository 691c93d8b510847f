package e2e

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
)

// preloadedFacts is what the preloaded app says of the worker that answers.
type preloadedFacts struct {
	Pid        int
	ImportedBy int `json:"imported_by"`
	Random     float64
	SSL        string
	DatabaseOf int `json:"database_of"`
	One        int
	Main       string
	Warm       []string
}

// eachWorker asks until n workers have answered, and returns their facts by pid.
func (s *server) eachWorker(t testing.TB, n int, path string) map[int]preloadedFacts {
	t.Helper()
	all := map[int]preloadedFacts{}
	eventually(t, "every worker answers", func() bool {
		var f preloadedFacts
		if err := json.Unmarshal([]byte(s.getOK(t, path)), &f); err != nil {
			t.Fatal(err)
		}
		all[f.Pid] = f
		return len(all) >= n
	})
	return all
}

func TestPreloadedWorkersShareTheImportAndHaveConnectionsAndRandomNumbersOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := start(t, "preloaded", options{args: []string{"--preload", "--warmup", "/?warm=once", "--workers", "3", "--threads", "2"}})
	before := s.eachWorker(t, 3, "/")
	randoms, ssls, template := map[float64]bool{}, map[string]bool{}, 0
	for pid, f := range before {
		if f.DatabaseOf != pid || f.One != 1 {
			t.Errorf("worker %d has the database connection of %d", pid, f.DatabaseOf)
		}
		if f.ImportedBy == pid || template != 0 && f.ImportedBy != template {
			t.Errorf("worker %d: imported by %d, others by %d", pid, f.ImportedBy, template)
		}
		if f.Main != "MainThread" || strings.Join(f.Warm, " ") != "once" {
			t.Errorf("worker %d: main thread %q, warmed %q", pid, f.Main, f.Warm)
		}
		template = f.ImportedBy
		randoms[f.Random], ssls[f.SSL] = true, true
	}
	if len(randoms) != 3 || len(ssls) != 3 {
		t.Errorf("%d different random numbers and %d of OpenSSL's in 3 workers", len(randoms), len(ssls))
	}
	s.getOK(t, "/thread")

	s.signal(t, syscall.SIGHUP)
	s.waitLog(t, "msg=reloaded")
	for _, f := range s.eachWorker(t, 3, "/") {
		if f.ImportedBy == template {
			t.Errorf("after a reload worker %d is of the same import", f.Pid)
		}
	}
}

func TestWorkersOutliveTheirTemplateAndItsSuccessorMakesTheNextOnes(t *testing.T) {
	t.Parallel()
	s := start(t, "preloaded", options{args: []string{"--preload", "--workers", "1"}})
	var first preloadedFacts
	for _, first = range s.eachWorker(t, 1, "/") {
		if err := syscall.Kill(first.ImportedBy, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	s.waitLog(t, "the template process ended by itself")
	if f := s.eachWorker(t, 1, "/")[first.Pid]; f.Pid != first.Pid {
		t.Error("the worker ended with its template")
	}
	if err := syscall.Kill(first.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a worker of the new template answers", func() bool {
		for _, f := range s.eachWorker(t, 1, "/") {
			return f.ImportedBy != first.ImportedBy && f.Pid != first.Pid
		}
		return false
	})
}

func TestAnAppThatStartsAThreadWhileItIsImportedIsNotPreloadedUnlessForced(t *testing.T) {
	t.Parallel()
	args := append([]string{"serve", "--bind", "127.0.0.1:0", "--chdir", appDir("preloaded"), "--workers", "1", "--preload"}, python.args...)
	c := command(append(args, "wsgi")...)
	c.Env = append(c.Env, "PRELOADED_THREAD=metrics-sender")
	if out, code := runToEnd(t, c); code != 4 || !strings.Contains(out, "metrics-sender") {
		t.Errorf("exit code %d, expected 4 and the thread's name:\n%s", code, out)
	}
	s := start(t, "preloaded", options{args: []string{"--preload=force"}, env: []string{"PRELOADED_THREAD=metrics-sender"}})
	s.eachWorker(t, 1, "/")
}

func TestAnAppOfAPreloadingServerRunsItsPostforkFunctionsWithoutPreloadToo(t *testing.T) {
	t.Parallel()
	s := start(t, "preloaded", options{})
	for pid, f := range s.eachWorker(t, 1, "/") {
		if f.DatabaseOf != pid || f.ImportedBy != pid {
			t.Errorf("worker %d: imported by %d, connected by %d", pid, f.ImportedBy, f.DatabaseOf)
		}
	}
}

func TestFourPreloadedDjangoWorkersUseAtMostSixTenthsOfTheMemory(t *testing.T) {
	t.Parallel()
	if sanitized {
		t.Skip("AddressSanitizer's own memory is not shared")
	}
	used := func(more ...string) int64 {
		s := start(t, "django_min", options{args: append([]string{"--workers", "4", "--threads", "2"}, more...)})
		s.waitServing(t, 4)
		for range 40 {
			s.getOK(t, "/")
		}
		return s.sessionPSS()
	}
	alone := used()
	shared := used("--preload")
	t.Logf("PSS of all processes: %d MiB, preloaded %d MiB", alone>>10, shared>>10)
	if shared*10 > alone*6 {
		t.Errorf("%d KiB preloaded, %d KiB without", shared, alone)
	}
}
