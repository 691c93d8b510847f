"""Asks a server again and again, each time on a new connection, and takes down what came of it."""

import random
import socket
import time
from dataclasses import dataclass, field

from projects import PATH

EVERY = 0.01  # seconds from one request to the next, or as soon as the answer is there
TIMEOUT = 10  # seconds for one answer
LIMIT = 20  # seconds until the new answer
AFTER = 0.25  # seconds of asking on after the new answer, as something may go wrong late


class TooLate(Exception):
    """The new answer did not come."""


@dataclass
class Tally:
    """What became of the requests around some saves."""

    asked: int = 0
    failures: dict = field(default_factory=dict)  # how many, by kind
    longest: float = 0  # seconds until an answer

    def add(self, took, failure):
        self.asked += 1
        if failure:
            self.failures[failure] = self.failures.get(failure, 0) + 1
        else:
            self.longest = max(self.longest, took)


def ask(port):
    """One request; its body, or None and why there is none."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
            connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            while chunk := connection.recv(65536):
                answer += chunk
    except ConnectionRefusedError:
        return None, "refused"
    except ConnectionResetError:
        return None, "reset"
    except TimeoutError:
        return None, "timeout"
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        return None, head[9:12].decode(errors="replace") if head else "closed"
    return body, ""


def wait_for(port, body, tally, check_alive):
    """Asks until the answer is body; returns when it was there."""
    end = time.monotonic() + LIMIT
    while (began := time.monotonic()) < end:
        answer, failure = ask(port)
        now = time.monotonic()
        tally.add(now - began, failure)
        if answer == body:
            return now
        check_alive()
        time.sleep(max(0, began + EVERY - now))
    raise TooLate(f"no answer {body.decode()!r} in {LIMIT} s")


def saved(project, number, replace, run, tally):
    """Saves the module while the server is asked, and returns how many seconds went by until the new answer was there."""
    time.sleep(random.uniform(0, EVERY))
    began = time.monotonic()
    project.save(number, replace)
    served = wait_for(run.port, project.answer(number), tally, run.check_alive)
    end = time.monotonic() + AFTER
    while (asked := time.monotonic()) < end:
        answer, failure = ask(run.port)
        now = time.monotonic()
        tally.add(now - asked, failure or ("" if answer == project.answer(number) else "the old answer"))
        time.sleep(max(0, asked + EVERY - now))
    return served - began
