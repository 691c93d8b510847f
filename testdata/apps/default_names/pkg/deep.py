"""An app in a package."""
from wsgi import reply

application = reply(b"pkg.deep")
