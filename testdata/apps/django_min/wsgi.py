"""A small real Django project: settings, URLs, views, admin on SQLite, all in two modules."""
import os

import django
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
application = get_wsgi_application()

if os.environ.get("E2E_MIGRATE") == "1":
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    if not get_user_model().objects.filter(username="admin").exists():
        get_user_model().objects.create_superuser("admin", "admin@example.com", "correct horse")
assert django.VERSION >= (4, 2)
