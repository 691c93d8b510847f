"""setproctitle at import does not disturb the server"""
import os

import setproctitle
from _app import text

setproctitle.setproctitle("hazard")


@text
def app(environ):
    with open("/proc/self/cmdline", "rb") as file:
        assert file.read().startswith(b"hazard"), "the title is not set"
    assert os.environ["HAZARD_FILE"]
    return setproctitle.getproctitle()
