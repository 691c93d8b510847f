"""What must happen when the server stops: atexit, threads that are not daemons, a flushed stdout."""
import atexit
import concurrent.futures
import sys
import threading

stopping = threading.Event()


@atexit.register
def at_exit():
    print("atexit ran on", "main" if threading.current_thread() is threading.main_thread() else "another thread", file=sys.stderr)


def worker():
    threading.main_thread().join()  # returns in threading._shutdown, as for any thread that ends with the program
    print("non-daemon thread ended", file=sys.stderr, flush=True)


threading.Thread(target=worker).start()
pool = concurrent.futures.ThreadPoolExecutor(1)


def application(environ, start_response):
    pool.submit(print, "from the executor", file=sys.stderr, flush=True)
    sys.stdout.write("left in the buffer of stdout\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
