"""Handlers set at import; each call of one adds a line to the log. Views raise signals, or tell what is set."""
import os
import signal
import threading

calls = []


def handler(number, frame):
    calls.append(number)
    on_main = threading.current_thread() is threading.main_thread()
    # Not print(): a handler may run inside another one's print, which io refuses.
    os.write(2, ("handler called for %s %s\n" % (signal.Signals(number).name, "on main" if on_main else "elsewhere")).encode())


for name in ("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGHUP"):
    signal.signal(getattr(signal, name), handler)


def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/kill":
        os.kill(os.getpid(), getattr(signal, query))
        result = "sent"
    elif path == "/alarm":
        signal.alarm(1)
        result = "set"
    elif path == "/setitimer":
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        result = "set"
    elif path == "/in_view":
        try:
            signal.signal(signal.SIGUSR1, handler)
            result = "nothing raised"
        except ValueError:
            result = "ValueError"
    else:
        result = " ".join(sorted(signal.Signals(n).name for n in calls))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [result.encode()]
