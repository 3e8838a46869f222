"""The example site for ASGI servers: Daphne, uvicorn."""

import os

from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Django is set up by this call, and only then can the app be imported.
http = get_asgi_application()
if settings.DEBUG:
    # Also where no `runserver` does it; in production the web server in front serves them.
    http = ASGIStaticFilesHandler(http)

from realtime.routing import lifespan, websocket_application  # noqa: E402

application = ProtocolTypeRouter(
    {"http": http, "websocket": websocket_application, "lifespan": lifespan}
)
