"""threading.settrace and setprofile, set at import, see the views"""
import threading

from _app import text

traced, profiled = [], []
threading.settrace(lambda frame, event, arg: traced.append(frame.f_code.co_name))
threading.setprofile(lambda frame, event, arg: profiled.append(frame.f_code.co_name))


def marked():
    return 1


@text
def app(environ):
    marked()
    assert "marked" in traced and "marked" in profiled
    return "ok"
