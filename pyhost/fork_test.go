//go:build cgo

package pyhost

import (
	"strings"
	"syscall"
	"testing"
)

// forkingApp forks in a view; run is what the child does. The answer is the child's wait status, and what it wrote to a pipe.
func forkingApp(setup, run string) string {
	return answering(`
import os, signal, sys, time
`+setup+`
def fork():
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        `+run+`
    os.close(w)
    said = b''
    while True:
        piece = os.read(r, 1000)
        if not piece: break
        said += piece
    status = os.waitpid(pid, 0)[1]
    return 'exit', os.WEXITSTATUS(status), 'signal', os.WTERMSIG(status), said.decode()
`, "fork()")
}

func TestAProcessThatTheAppForksEndsAsItWould(t *testing.T) {
	tests := []struct{ name, setup, run, want string }{
		{"the child returns", "", "return", "('exit', 0, 'signal', 0, '')"},
		{"the child leaves by os._exit", "", "os._exit(5)", "('exit', 5, 'signal', 0, '')"},
		{"the child calls sys.exit", "", "sys.exit(6)", "('exit', 6, 'signal', 0, '')"},
		{"the child raises", "", "raise ValueError('in the child')", "('exit', 1, 'signal', 0, '')"},
		{"SIGTERM ends it", "", "os.kill(os.getpid(), signal.SIGTERM); time.sleep(20)", "('exit', 0, 'signal', 15, '')"},
		{"SIGINT ends it", "", "os.kill(os.getpid(), signal.SIGINT); time.sleep(20)", "('exit', 0, 'signal', 2, '')"},
		{"SIGSEGV ends it", "", "os.kill(os.getpid(), signal.SIGSEGV); time.sleep(20)", "('exit', 0, 'signal', 11, '')"},
		{"the app's own SIGTERM handler works there", "signal.signal(signal.SIGTERM, lambda *a: os._exit(9))",
			"os.kill(os.getpid(), signal.SIGTERM); time.sleep(20)", "('exit', 9, 'signal', 0, '')"},
		{"no descriptor of the poller, the events or the loop is left", "",
			"os.write(w, ' '.join(l for l in (os.readlink('/proc/self/fd/' + f) for f in os.listdir('/proc/self/fd') " +
				"if os.path.islink('/proc/self/fd/' + f)) if 'anon' in l).encode()); os._exit(0)", "('exit', 0, 'signal', 0, '')"},
		{"set_wakeup_fd is undone", "", "os.write(w, str(signal.set_wakeup_fd(-1)).encode()); os._exit(0)", "('exit', 0, 'signal', 0, '-1')"},
		{"exec works", "", "os.execvp('sh', ['sh', '-c', 'exit 4'])", "('exit', 4, 'signal', 0, '')"},
	}
	forEachPython(t, func(t *testing.T, p Python) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				dir := write(t, "app.py", forkingApp(test.setup, test.run))
				r := childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
				if r.code != 0 || strings.TrimSpace(r.stdout) != test.want {
					t.Fatalf("%+v", r)
				}
				if strings.Contains(test.name, "raises") && !strings.Contains(r.stderr, "ValueError: in the child") {
					t.Fatalf("%+v", r)
				}
			})
		}
	})
}

func TestMultiprocessingWorksInAView(t *testing.T) {
	dir := write(t, "job.py", "import time\ndef double(x): return 2 * x\ndef sleep(): time.sleep(60)\n", "app.py", answering(`
import multiprocessing, sys, job
def ask():
    answers = []
    for method in ('fork', 'spawn', 'forkserver'):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            answers.append(pool.map(job.double, [1, 2]))
        process = context.Process(target=job.sleep)
        process.start()
        process.terminate()
        process.join(20)
        answers.append(process.exitcode)
    return answers
`, "ask()"))
	forEachPython(t, func(t *testing.T, p Python) {
		r := childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
		if r.code != 0 || strings.TrimSpace(r.stdout) != "[[2, 4], -15, [2, 4], -15, [2, 4], -15]" {
			t.Fatalf("%+v", r)
		}
	})
}

func TestWhatTheAppStartsHasTheLimitOfDescriptorsThatTheServerWasStartedWith(t *testing.T) {
	const low = 700
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if old.Max <= low+1 {
		t.Skip("the hard limit leaves no room")
	}
	limited := old
	limited.Cur = low
	// Go gives what it starts the limit set here.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limited); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	dir := write(t, "app.py", answering(`
import multiprocessing, os, resource, subprocess, sys
def soft(): return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
def forked():
    r, w = os.pipe()
    if os.fork() == 0:
        os.write(w, b'%d' % soft()); os._exit(0)
    return int(os.read(r, 100))
def ask():
    mine = soft()
    return (mine > 700, forked(), int(subprocess.check_output(['sh', '-c', 'ulimit -n'])),
        int(subprocess.check_output(['sh', '-c', 'ulimit -n'], env={'PATH': '/usr/bin:/bin'})), soft() == mine)
`, "ask()"))
	forEachPython(t, func(t *testing.T, p Python) {
		r := childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
		if r.code != 0 || strings.TrimSpace(r.stdout) != "(True, 700, 700, 700, True)" {
			t.Fatalf("%+v", r)
		}
	})
}

func TestAChildOfAForkInTheImportNeverBecomesASecondServer(t *testing.T) {
	for name, run := range map[string]string{
		"returns": "pass", "exits": "sys.exit(3)", "raises": "raise ValueError('in the child')",
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, "app.py", answering(`
import os, sys
pid = os.fork()
if pid == 0:
    `+run+`
else:
    status = os.waitpid(pid, 0)[1]
`, "(os.WIFEXITED(status), os.WEXITSTATUS(status), pid != 0)"))
			want := map[string]string{"returns": "(True, 0, True)", "exits": "(True, 3, True)", "raises": "(True, 1, True)"}[name]
			r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
			if r.code != 0 || strings.TrimSpace(r.stdout) != want {
				t.Fatalf("%+v", r)
			}
		})
	}
}
