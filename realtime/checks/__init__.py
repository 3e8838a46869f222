"""System checks: `manage.py check` reports wrong settings, each with its fix.

A check has an id of its own, so that a site can silence it, a sentence, and a hint with the cure.
"""

from django.core import checks

from .credentials import check_origins, check_stateless_users
from .deployment import check_deployment, check_proxies
from .installation import check_import_name
from .layer import check_layer
from .rooms import check_room_types
from .serving import check_asgi_application, check_runserver, check_urls
from .settings import check_settings
from .site import check_backend, check_middleware, check_sessions, check_user_model
from .tokens import check_audience

ALL = (
    check_import_name,
    check_settings,
    check_origins,
    check_stateless_users,
    check_audience,
    check_backend,
    check_middleware,
    check_sessions,
    check_user_model,
    check_room_types,
    check_layer,
    check_runserver,
    check_asgi_application,
    check_urls,
)
FOR_DEPLOYMENT = (check_deployment, check_proxies)


def register() -> None:
    for check in ALL:
        checks.register(check)
    for check in FOR_DEPLOYMENT:
        checks.register(check, deploy=True)
