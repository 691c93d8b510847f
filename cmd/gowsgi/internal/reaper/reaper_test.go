package reaper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const childVariable = "REAPER_TEST_CHILD"

// TestMain runs this program as the process that adopts orphans, where a test asks for it.
func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(m.Run())
	case "adopt":
		os.Exit(adopt())
	}
}

// orphan starts a process whose parent ends at once, and returns its number. It sleeps for a moment and then ends.
func orphan(sleep string) (int, error) {
	out, err := exec.Command("sh", "-c", "sleep "+sleep+" >/dev/null 2>&1 & echo $!").Output()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

const orphans, ours = 40, 40

// adopt reports "ok" once every orphan was collected while its own children gave their right statuses.
func adopt() int {
	fail := func(args ...any) int {
		fmt.Println(args...)
		return 1
	}
	if Adopts() {
		return fail("it adopts before it was asked to")
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fail(err)
	}
	if !Adopts() {
		return fail("it does not adopt")
	}
	children := NewChildren()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- Run(ctx, children.Has) }()

	var all sync.WaitGroup
	var wrong atomic.Value
	adopted := make(chan int, orphans)
	for n := range orphans {
		all.Go(func() {
			err := children.During(func() error {
				pid, err := orphan(fmt.Sprintf("0.0%d", n%10))
				adopted <- pid
				return err
			})
			if err != nil {
				wrong.Store(fmt.Sprint("an orphan: ", err))
			}
		})
	}
	// Children that end at once, before anybody knows their number.
	for n := range ours {
		all.Go(func() {
			c := exec.Command("sh", "-c", fmt.Sprintf("exit %d", n))
			err := children.Start(func() (int, error) {
				err := c.Start()
				if err != nil {
					return 0, err
				}
				time.Sleep(time.Duration(n%5) * time.Millisecond)
				return c.Process.Pid, nil
			})
			if err != nil {
				wrong.Store(fmt.Sprint("a child: ", err))
				return
			}
			err = c.Wait()
			children.Forget(c.Process.Pid)
			var exit *exec.ExitError
			if n > 0 && (!errors.As(err, &exit) || exit.ExitCode() != n) || n == 0 && err != nil {
				wrong.Store(fmt.Sprintf("child %d ended with %v", n, err))
			}
		})
	}
	all.Wait()
	if text := wrong.Load(); text != nil {
		return fail(text)
	}
	close(adopted)
	for pid := range adopted {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
			if err != nil {
				break
			}
			if time.Now().After(deadline) {
				return fail("orphan", pid, "is not collected")
			}
		}
	}
	cancel()
	select {
	case err := <-ran:
		if err != nil {
			return fail(err)
		}
	case <-time.After(20 * time.Second):
		return fail("Run does not end")
	}
	fmt.Println("ok")
	return 0
}

func TestOrphansAreCollectedAndOurChildrenKeepTheirStatuses(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childVariable+"=adopt")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	end := time.AfterFunc(60*time.Second, func() { _ = c.Process.Kill() })
	defer end.Stop()
	line, _ := bufio.NewReader(out).ReadString('\n')
	if err := c.Wait(); err != nil || line != "ok\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// The kernel shows ended children one by one: one of ours that nobody waits for yet must neither be taken nor keep a processor busy.
func TestAChildThatIsWaitedForLateIsLeftAlone(t *testing.T) {
	c := exec.Command("sh", "-c", "exit 7")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int32
	ran := make(chan error, 1)
	go func() {
		ran <- Run(ctx, func(pid int) bool {
			asked.Add(1)
			return pid == c.Process.Pid
		})
	}()
	began := time.Now()
	for asked.Load() < 4 && time.Since(began) < 20*time.Second {
		time.Sleep(time.Millisecond)
	}
	if n, most := asked.Load(), int32(time.Since(began)/firstRetry)+4; n < 4 || n > most {
		t.Errorf("asked %d times, expected from 4 to %d", n, most)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("%v, expected exit code 7", err)
	}
}

func TestHasWaitsWhileAChildIsBeingStarted(t *testing.T) {
	children := NewChildren()
	starting, number, answer := make(chan struct{}), make(chan int), make(chan bool, 1)
	go func() {
		_ = children.Start(func() (int, error) {
			close(starting)
			return <-number, nil
		})
	}()
	<-starting
	go func() { answer <- children.Has(42) }()
	select {
	case <-answer:
		t.Fatal("answered before the number is known")
	case <-time.After(20 * time.Millisecond):
	}
	number <- 42
	if !<-answer {
		t.Error("42 is ours")
	}
	children.Forget(42)
	if children.Has(42) {
		t.Error("42 is forgotten")
	}
}
