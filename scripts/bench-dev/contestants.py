"""The development servers: how each is started."""

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from running import Running, free_port

OWN = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH", "VIRTUAL_ENV", "FLASK_APP", "FLASK_DEBUG", "DJANGO_SETTINGS_MODULE"}


@dataclass(frozen=True)
class Contestant:
    name: str
    python: str  # of the virtualenv that it runs with
    words: tuple  # of the command; PORT stands for the port
    framework: str  # that it can serve; "": any

    def command(self, port):
        return [str(port) if word == "PORT" else word.replace("PORT", str(port)) for word in self.words]


def all_of(gowsgi, python, with_watchdog):
    flask = ("-m", "flask", "--app", "flaskr", "run", "--debug", "--port", "PORT")
    return [
        Contestant("gowsgi dev", python, (gowsgi, "dev", "--python", python, "--port", "PORT"), ""),
        Contestant("flask run --debug", python, (python, *flask), "Flask"),
        Contestant("flask run --debug, watchdog", with_watchdog, (with_watchdog, *flask), "Flask"),
        Contestant("manage.py runserver", python, (python, "manage.py", "runserver", "127.0.0.1:PORT"), "Django"),
    ]


@contextlib.contextmanager
def running(contestant, folder):
    """A Running server in the project's folder, with its log beside that, and in a process group of its own which is killed at the end."""
    port, log = free_port(), Path(f"{folder}.log")
    environ = {name: value for name, value in os.environ.items() if name not in OWN and not name.startswith("GOWSGI_")}
    with log.open("wb") as out:
        process = subprocess.Popen(contestant.command(port), cwd=folder, env=environ, start_new_session=True,
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield Running(process, port, log)
    finally:
        with contextlib.suppress(ProcessLookupError):  # the whole group has ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
