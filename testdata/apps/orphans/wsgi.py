"""Starts a process whose parent ends at once, and gives its number."""
import subprocess


def application(environ, start_response):
    number = subprocess.check_output(["sh", "-c", "sleep 0.1 >/dev/null 2>&1 & echo $!"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [number.strip()]
