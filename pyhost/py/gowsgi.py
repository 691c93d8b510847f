"""What an app may ask of the server that runs it.

The server puts this module into sys.modules before it imports an app; nothing is installed. An app that also runs elsewhere guards the
import:

    try:
        import gowsgi
    except ImportError:
        gowsgi = None
"""

_hooks = []  # what postfork was given, in order
_serving = False  # the hooks of this process ran


def postfork(function):
    """Has function() called in each worker process, on Python's main thread, after the import of the app and before the first request.

    With --preload the app is imported once and the workers are forked from that process: what can't be shared (connections, threads,
    random generators of one's own) is made here. Without --preload it is called all the same, once, after the import, so that an app
    needs one way only. Functions run in the order in which they were given; one that raises is a failed start. In a worker that serves
    already, function is called at once.

    Returns function, and so can be used as a decorator.
    """
    if not callable(function):
        raise TypeError("gowsgi.postfork takes a function, not %s" % type(function).__name__)
    if _serving:
        function()
    else:
        _hooks.append(function)
    return function


class RequestTimeout(BaseException):
    """Raised in the app where a request took longer than its deadline (--request-timeout): its client was answered already.

    No subclass of Exception: "except Exception" is for the app's own failures. It may come between any two instructions of the request,
    but neither in close() of its response nor in another request.
    """


def request_id():
    """The id of the request that this thread runs: the X-Request-ID that its access log and its client get.

    None outside of a request and in threads that the app started. Where the server does not make ids it is the client's own X-Request-ID, if
    that is one plain word, else None.
    """
    return _request_id()


class RequestIDFilter:
    """A logging filter that lets every record through and gives it request_id, "-" outside of a request. In Django:

        LOGGING = {
            "version": 1,
            "filters": {"request_id": {"()": "gowsgi.RequestIDFilter"}},
            "formatters": {"line": {"format": "%(levelname)s %(request_id)s %(message)s"}},
            "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["request_id"], "formatter": "line"}},
            "root": {"handlers": ["console"], "level": "INFO"},
        }
    """

    def filter(self, record):
        record.request_id = request_id() or "-"
        return True
