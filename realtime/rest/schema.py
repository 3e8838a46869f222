"""The endpoint of the OpenAPI document. Imported only if drf-spectacular is installed."""

from __future__ import annotations

from typing import Any

from django.urls import get_script_prefix, include, path, reverse
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from ..version import __version__
from .base import OwnDefaults


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes our authentication by token."""

    target_class = "realtime.rest.base.TokenAuthentication"
    name = "realtimeToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class SchemaView(OwnDefaults, SpectacularAPIView):
    """GET: the endpoints of this app in OpenAPI 3, and no others of the site."""

    schema = None  # it does not describe itself
    renderer_classes: Any = (OpenApiJsonRenderer2, OpenApiYamlRenderer)
    authentication_classes = ()
    permission_classes = (AllowAny,)
    custom_settings = {
        "TITLE": "Rooms",
        "DESCRIPTION": "Publish to the rooms of this site, and read them.",
        "VERSION": __version__,
    }

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        rooms = reverse("realtime:rooms")
        ours = rooms.removeprefix(get_script_prefix()).removesuffix("rooms/")
        self.patterns = [path(ours, include("realtime.urls"))]
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        return response
