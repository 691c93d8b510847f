"""The servers: how each is started on an app, with keep-alive on and no access log but for gowsgi-access-log."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import peers

HERE = Path(__file__).resolve().parent
APPS = HERE / "apps"
BIN = Path(sys.prefix) / "bin"
KEEP_ALIVE = "75"  # seconds: longer than a measurement, everywhere


@dataclass(frozen=True)
class Server:
    name: str
    about: str
    command: object  # of (module of the app, port, processes, threads of each, an empty folder): the arguments
    package: str = None  # its name in peers.txt
    most_connections: int = None  # more than these it does not serve at the same time
    binary: str = None  # of a gowsgi
    only: tuple = None  # the only workloads that it is measured on; None: all

    def serves(self, workload):
        """None, or why this workload is not for it."""
        if self.only and workload.name not in self.only:
            return f"measured on {', '.join(self.only)} alone"
        if workload.servers and ("gowsgi" if self.binary else self.name) not in workload.servers:
            return "not one of this workload's servers"
        if self.most_connections and (workload.held or workload.connections > self.most_connections):
            return f"it holds a thread for each connection and would leave all but {self.most_connections} unserved"
        return None

    def missing(self):
        """None where it can be run, else the reason. Installs it."""
        if self.name == "mod_wsgi" and not (shutil.which("apxs") or shutil.which("apxs2")):
            return "apxs is not on PATH (Debian, Ubuntu: apt-get install apache2-bin apache2-dev)"
        if self.name == "mod_wsgi" and os.geteuid() == 0 and not shutil.which("setpriv"):
            return "as root it needs setpriv (util-linux) to become www-data"
        return peers.install(self.package) if self.package else None

    def version(self):
        if self.package:
            return f"{self.package} {peers.installed(self.package)}"
        said = subprocess.run([self.binary, "version"], capture_output=True, text=True, check=True).stdout.splitlines()
        return f"{said[0]}, {said[1]}, SHA-256 {hashlib.sha256(Path(self.binary).read_bytes()).hexdigest()[:12]}"


def gowsgi(binary, name="gowsgi"):
    binary = os.path.abspath(binary)

    def command(app, port, processes, threads, folder):
        return [binary, "serve", "--bind", f"127.0.0.1:{port}", "--workers", str(processes), "--threads", str(threads), "--graceful-timeout", "0s", "--python",
                str(BIN / "python"), "--chdir", str(APPS), f"{app}:app"]

    return Server(name, f"{binary} --workers P --threads T", command, binary=binary)


def with_access_log(server):
    """A gowsgi that writes an access log to a file: what that costs."""
    def command(app, port, processes, threads, folder):
        return [*server.command(app, port, processes, threads, folder), "--access-log", str(folder / "access.log")]

    return replace(server, name="gowsgi-access-log", about=f"{server.about} --access-log FILE (combined)", command=command, only=("hello", "hello@256"))


def floor(binary):
    return Server("fasthttp", "the floor: fasthttp alone, 14 bytes, no Python", lambda app, port, processes, threads, folder: [binary, f"127.0.0.1:{port}"])


def granian(app, port, processes, threads, folder):
    # Its bound on connections at a time is 1024 unless told otherwise.
    return [str(BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", str(processes), "--http", "1", "--no-ws",
            "--blocking-threads", str(threads), "--backpressure", "20000", "--log-level", "warning", "--working-dir", str(APPS), f"{app}:app"]


def gunicorn(app, port, processes, threads, folder):
    return [str(BIN / "gunicorn"), "-k", "gthread", "-w", str(processes), "--threads", str(threads), "--worker-connections", "20000", "--keep-alive",
            KEEP_ALIVE, "--no-control-socket", "--log-level", "warning", "-b", f"127.0.0.1:{port}", "--chdir", str(APPS), f"{app}:app"]


def uwsgi(*socket):
    def command(app, port, processes, threads, folder):
        return [str(BIN / "uwsgi"), *(option.format(port=port) for option in socket), "--master", "--processes", str(processes), "--threads", str(threads),
                "--disable-logging", "--die-on-term", "--need-app", "--listen", "1024", "--chdir", str(APPS), "--module", f"{app}:app"]

    return command


def waitress(app, port, processes, threads, folder):
    return [str(BIN / "waitress-serve"), f"--listen=127.0.0.1:{port}", f"--threads={threads}", "--connection-limit=20000", "--asyncore-use-poll",
            "--backlog=2048", f"{app}:app"]


def launched(name):
    return lambda app, port, processes, threads, folder: [sys.executable, "-B", str(HERE / "launch.py"), name, app, str(port), str(threads)]


def mod_wsgi(app, port, processes, threads, folder):
    # Apache refuses to serve as root. www-data keeps root's right to read, since the Python may be in root's home.
    to_www = ["setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups", "--inh-caps=+dac_read_search",
              "--ambient-caps=+dac_read_search"] if os.geteuid() == 0 else []
    return [*to_www, str(BIN / "mod_wsgi-express"), "start-server", app, "--application-type", "module", "--callable-object", "app", "--host",
            "127.0.0.1", "--port", str(port), "--processes", str(processes), "--threads", str(threads), "--max-clients", "512", "--keep-alive-timeout",
            KEEP_ALIVE, "--server-backlog", "2048", "--log-to-terminal", "--log-level", "error", "--working-directory", str(APPS),
            "--server-root", str(folder)]


PEERS = [
    Server("granian", "granian --workers P --blocking-threads T", granian, "granian"),
    Server("gunicorn", "gunicorn -k gthread -w P --threads T", gunicorn, "gunicorn"),
    Server("uwsgi", "uwsgi --http (a process of its own for HTTP) --http-keepalive --http-auto-chunked --processes P --threads T",
           uwsgi("--http", "127.0.0.1:{port}", "--http-keepalive=" + KEEP_ALIVE, "--http-auto-chunked", "--http-timeout", KEEP_ALIVE), "uwsgi"),
    Server("uwsgi-http11", "uwsgi --http11-socket --processes P --threads T (a thread per connection)",
           uwsgi("--http11-socket", "127.0.0.1:{port}"), "uwsgi", most_connections=16),
    Server("waitress", "waitress-serve --threads=T", waitress, "waitress"),
    Server("cheroot", "cheroot.wsgi.Server(numthreads=T)", launched("cheroot"), "cheroot"),
    Server("bjoern", "bjoern.run, one thread", launched("bjoern"), "bjoern"),
    Server("fastwsgi", "fastwsgi.run, one thread", launched("fastwsgi"), "fastwsgi"),
    Server("mod_wsgi", "mod_wsgi-express start-server --processes P --threads T --max-clients 512 (Apache's event MPM before it)", mod_wsgi,
           "mod_wsgi"),
]
SHORT = ["gowsgi", "granian", "gunicorn", "bjoern"]
