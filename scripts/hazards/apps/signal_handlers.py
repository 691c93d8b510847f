"""SIGUSR1, SIGALRM (setitimer) and SIGCHLD handlers set at import run; faulthandler.register dumps"""
import faulthandler
import os
import signal
import subprocess
import threading

from _app import text

seen = {name: threading.Event() for name in ("SIGUSR1", "SIGALRM", "SIGCHLD")}
for name, event in seen.items():
    signal.signal(getattr(signal, name), lambda signum, frame, event=event: event.set())
signal.setitimer(signal.ITIMER_REAL, 0.3)
dump = open(os.environ["HAZARD_FILE"], "w+")
faulthandler.register(signal.SIGUSR2, file=dump)


@text
def app(environ):
    if environ["PATH_INFO"] == "/pid":
        return os.getpid()
    subprocess.run(["true"], check=True)
    os.kill(os.getpid(), signal.SIGUSR2)
    missed = [name for name, event in seen.items() if not event.wait(5)]
    assert not missed, f"not called: {missed}"
    with open(dump.name) as file:
        text_ = file.read()
    assert "File" in text_, "faulthandler.register dumped nothing"
    return "ok"
