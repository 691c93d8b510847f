"""the view's thread is a Thread with a name of its own, listed, and not the main thread, also where only the view imports threading"""
from _app import text


@text
def app(environ):
    import threading

    me = threading.current_thread()
    assert type(me) is threading.Thread, type(me)
    assert me in threading.enumerate() and me is not threading.main_thread()
    return me.name
