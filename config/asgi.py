"""The example site for ASGI servers: Daphne, uvicorn."""

import os

from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# This call sets up Django; the app can be imported only after it.
http = get_asgi_application()
if settings.DEBUG:
    # `runserver` would do this too. In production, a web server in front serves static files.
    http = ASGIStaticFilesHandler(http)

from realtime.routing import http_application, lifespan, websocket_application  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http_application(http),
        "websocket": websocket_application,
        "lifespan": lifespan,
    }
)
