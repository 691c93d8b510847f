"""coverage sees the views"""
import coverage
from _app import text

measure = coverage.Coverage(data_file=None, include=[__file__])
measure.start()


def measured(x):
    y = x + 1
    return y


@text
def app(environ):
    measured(1)
    lines = measure.get_data().lines(__file__) or []
    assert measured.__code__.co_firstlineno + 1 in lines, f"the view's lines are not among {lines}"
    return "ok"
