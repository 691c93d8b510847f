"""Programs that the app starts."""
import os
import resource
import subprocess
import sys


def run():
    done = subprocess.run(["sh", "-c", "echo out; echo err >&2; exit 3"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return "%d %s %s" % (done.returncode, done.stdout.decode().strip(), done.stderr.decode().strip())


def terminate():
    p = subprocess.Popen(["sleep", "60"])
    p.terminate()
    return str(p.wait(30))


def python():
    """sys.executable is a Python that starts."""
    return subprocess.run([sys.executable, "-c", "print(6 * 7)"], stdout=subprocess.PIPE).stdout.decode().strip()


def signals():
    """The signal masks that a started program finds."""
    out = subprocess.run(["cat", "/proc/self/status"], stdout=subprocess.PIPE).stdout.decode()
    wanted = dict(line.split(":\t") for line in out.splitlines() if line.startswith("Sig"))
    return "blocked %s ignored %s" % (wanted["SigBlk"], wanted["SigIgn"])


def descriptors():
    """Descriptors above 2 that an os.fork + exec without close_fds inherits."""
    out = subprocess.run(["ls", "-l", "/proc/self/fd"], stdout=subprocess.PIPE, close_fds=False).stdout.decode()
    return "\n".join(line for line in out.splitlines() if "socket:" in line or "eventpoll" in line or "eventfd" in line) or "none"


def nofile():
    """The soft limit of open files, of a program that the app starts."""
    child = subprocess.run(["sh", "-c", "ulimit -Sn"], stdout=subprocess.PIPE).stdout.decode().strip()
    return "%s %s" % (resource.getrlimit(resource.RLIMIT_NOFILE)[0], child)


def system():
    return str(os.system("exit 4") >> 8)


def variables():
    """Variables of the server that the app sees."""
    return " ".join(sorted(k for k in os.environ if k.startswith("GOWSGI"))) or "none"


def application(environ, start_response):
    result = globals()[environ["PATH_INFO"][1:]]()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [result.encode()]
