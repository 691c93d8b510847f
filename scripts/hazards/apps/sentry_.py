"""sentry-sdk with its background threads and a transport of our own"""
import threading

import sentry_sdk
from _app import text

seen = threading.Event()


class ToEvent(sentry_sdk.transport.Transport):
    def capture_envelope(self, envelope):
        seen.set()


sentry_sdk.init("https://key@localhost/1", transport=ToEvent, traces_sample_rate=1.0)


@text
def app(environ):
    try:
        1 / 0
    except ZeroDivisionError:
        sentry_sdk.capture_exception()
    sentry_sdk.flush(2)
    assert seen.wait(5), "no event came"
    return "ok"
