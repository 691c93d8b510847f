package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// soakTime is how long the soak takes; "make soak" makes it 10 minutes.
func soakTime(t testing.TB) time.Duration {
	text := os.Getenv("GOWSGI_TEST_SOAK")
	if text == "" {
		return 12 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("GOWSGI_TEST_SOAK: %v", err)
	}
	return d
}

// sessionPSS is the proportional set size of all processes of a server, in KiB.
func (s *server) sessionPSS() (kib int64) {
	for _, p := range sessionProcesses(s.cmd.Process.Pid) {
		b, err := os.ReadFile("/proc/" + strings.Fields(p)[0] + "/smaps_rollup")
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "Pss:"); ok {
				n, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
				kib += n
			}
		}
	}
	return kib
}

func TestReloadsRecyclesAndKillsAtRandomCostOnlyWhatTheKilledWorkersHadInHand(t *testing.T) {
	const workers = 2
	d := deploy(t, workers, options{args: []string{"--max-requests", "300"}})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	load := d.load(t)
	type kill struct{ before, dead time.Time }
	var kills []kill
	counts := map[string]int{}
	early := int64(0)
	begin, whole := time.Now(), soakTime(t)
	for n := 0; time.Since(begin) < whole; n++ {
		switch action := random.IntN(10); {
		case action < 3:
			counts["reloads"]++
			name := fmt.Sprintf("release %d", n)
			d.release(t, name)
			d.reloadOK(t)
		case action < 5:
			counts["kills"]++
			pids := d.waitServing(t, workers)
			victim, before := pids[random.IntN(len(pids))], time.Now()
			_ = syscall.Kill(victim, syscall.SIGKILL)
			eventually(t, "the killed worker is gone", func() bool { return gone(victim) })
			kills = append(kills, kill{before, time.Now()})
		case action < 6:
			counts["workers more and less"]++
			for sig, said := range map[syscall.Signal]string{syscall.SIGTTIN: "one worker more", syscall.SIGTTOU: "one worker less"} {
				before := d.countLog(said)
				d.signal(t, sig)
				eventually(t, said, func() bool { return d.countLog(said) > before })
			}
		default:
			time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
		}
		if early == 0 && time.Since(begin) > whole/3 {
			d.waitServing(t, workers)
			early = d.sessionPSS()
		}
	}
	d.waitServing(t, workers)
	late := d.sessionPSS()
	answered, failures := load.end(t)
	t.Logf("%v in %v; %d answered, %d failed; PSS %d and %d MiB", counts, whole, answered, len(failures), early>>10, late>>10)
	for _, f := range failures {
		if !slices.ContainsFunc(kills, func(k kill) bool { return !f.began.After(k.dead) && f.ended.After(k.before) }) {
			t.Errorf("no worker was killed then: %v", f)
		}
	}
	if answered == 0 {
		t.Error("nothing was answered")
	}
	if late > early*3/2 {
		t.Errorf("the processes use %d MiB in the end, %d MiB before", late>>10, early>>10)
	}
}
