"""Only the second default name."""
from wsgi import app  # noqa: F401
