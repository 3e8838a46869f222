"""The playground, the only page of the example site."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

# Scripts and styles come from this site only, and inline scripts do not run.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@never_cache
def playground(request: HttpRequest) -> HttpResponse:
    response = render(request, "config/playground.html", {"demo": settings.DEBUG})
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
