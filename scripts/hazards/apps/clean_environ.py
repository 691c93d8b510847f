"""os.environ holds nothing that the server put there for itself"""
import os
import subprocess

from _app import text


@text
def app(environ):
    mine = {name for name in os.environ if "GOWSGI" in name or name.startswith("PROTO_")}
    child = subprocess.run(["env"], capture_output=True, check=True, text=True).stdout
    assert not mine and "GOWSGI" not in child, mine
    return "ok"
