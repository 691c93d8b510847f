"""subprocess: run, shell, popen, preexec_fn, posix_spawn, terminate; no signal is blocked and SIGPIPE is default in the child"""
import os
import signal
import subprocess

from _app import text


@text
def app(environ):
    assert subprocess.run(["echo", "x"], capture_output=True, check=True).stdout == b"x\n"
    assert subprocess.run("exit 3", shell=True).returncode == 3
    assert os.popen("echo y").read() == "y\n" and os.system("exit 0") == 0
    assert subprocess.run(["true"], preexec_fn=os.getpid).returncode == 0
    assert os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)[1] == 0
    sleeper = subprocess.Popen(["sleep", "5"])
    sleeper.terminate()
    assert sleeper.wait(3) == -signal.SIGTERM
    status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Sig"))
    assert int(masks["SigBlk"], 16) == 0, masks
    assert not int(masks["SigIgn"], 16) & 1 << (signal.SIGPIPE - 1), masks
    return "ok"
