"""programs that the app starts get the soft limit of descriptors that the server was started with"""
import subprocess

from _app import text


@text
def app(environ):
    limit = subprocess.run(["sh", "-c", "ulimit -Sn"], capture_output=True, check=True, text=True).stdout.strip()
    assert limit == "512", f"the limit is {limit}, not 512"
    return "ok"
