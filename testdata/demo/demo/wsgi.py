"""The WSGI callable of the demo site."""

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo.settings")

# StaticFilesHandler finds the admin's and the site's own static files where they are installed: no collectstatic, no DEBUG. It is right for
# a demo; a site in production collects them once and lets a front-end server or WhiteNoise send them, with far-future cache headers.
application = StaticFilesHandler(get_wsgi_application())
