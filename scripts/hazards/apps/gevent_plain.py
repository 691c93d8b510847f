"""gevent and greenlet, not patched, used in a view"""
import gevent
import greenlet
from _app import text


@text
def app(environ):
    jobs = [gevent.spawn(lambda n=n: gevent.sleep(0.01) or n) for n in range(5)]
    gevent.joinall(jobs, timeout=5)
    assert [job.value for job in jobs] == list(range(5))
    assert greenlet.greenlet(lambda: 7).switch() == 7
    return "ok"
