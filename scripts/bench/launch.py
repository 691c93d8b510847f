"""launch.py SERVER MODULE PORT THREADS: runs MODULE's app on a server that has no command line, or one that lacks what is needed here."""

import importlib
import os
import sys

sys.path.insert(0, os.getcwd())
server, module, port, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
app = importlib.import_module(module).app

if server == "bjoern":
    import bjoern

    bjoern.run(app, "127.0.0.1", port, listen_backlog=2048)
elif server == "fastwsgi":
    import fastwsgi

    fastwsgi.server.backlog = 2048
    fastwsgi.run(app, "127.0.0.1", port, loglevel=fastwsgi.LL_FATAL_ERROR)
elif server == "cheroot":
    from cheroot.wsgi import Server

    cheroot = Server(("127.0.0.1", port), app, numthreads=threads, max=threads, request_queue_size=2048, timeout=75)
    cheroot.keep_alive_conn_limit = None
    cheroot.start()
else:
    raise SystemExit(f"launch: no server {server!r}")
