"""Can't be imported: raises three frames deep, one of them in the standard library."""
import json

import settings


def configure():
    return json.loads(settings.TEXT)


application = configure()
