"""Does to its process what an app should not."""
import os
import resource
import signal
import sys
import threading
import time


def application(environ, start_response):
    path, body = environ["PATH_INFO"], "done"
    if path == "/exit":
        os._exit(7)
    elif path == "/kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif path == "/stop":
        os.kill(os.getpid(), signal.SIGTERM)
    elif path == "/close":
        os.closerange(0, 3)
    elif path == "/take":
        os.closerange(0, 3)
        for _ in range(3):
            os.open(environ["QUERY_STRING"], os.O_RDWR | os.O_CREAT)
    elif path == "/raise":
        raise RuntimeError("the app's error")
    elif path == "/chdir":
        os.chdir("/")
    elif path == "/print":
        print("printed")
        print("printed", file=sys.stderr, flush=True)
    elif path == "/umask":
        os.umask(0o777)
    elif path == "/setpgid":
        os.setpgid(0, os.getpgid(os.getppid()))
    elif path == "/memory":
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (1 << 20, most))
        try:
            bytearray(1 << 30)
        except MemoryError:
            body = "MemoryError"
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    elif path == "/children":  # one in a session of its own, one that stays in the worker's process group
        for sessions in (True, False):
            pid = os.fork()
            if pid == 0:
                if sessions:
                    os.setsid()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                time.sleep(60)
                os._exit(0)
            body += " %d" % pid
    elif path == "/thread":
        threading.Thread(target=time.sleep, args=(60,), name="forever").start()
    elif path == "/pid":
        body = str(os.getpid())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]
