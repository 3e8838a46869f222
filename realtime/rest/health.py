"""Health of a process, for load balancers and supervisors: is it alive, and should it get work?"""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views import View

from ..exceptions import LayerUnavailable
from ..hub.drain import is_draining
from ..layers import get_layer


class LiveView(View):
    """GET: 200 as long as the process answers at all."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return _answer("live")


class ReadyView(View):
    """GET: 200 if new clients may come, 503 while the process ends, or if no Redis answers.

    It says nothing else, because anybody may ask.
    """

    def get(self, request: HttpRequest) -> HttpResponseBase:
        if is_draining():
            return _answer("draining", 503)
        try:
            get_layer().metrics_sync()
        except LayerUnavailable:
            return _answer("no redis", 503)
        return _answer("ready")


def _answer(status: str, code: int = 200) -> HttpResponseBase:
    answer = JsonResponse({"status": status}, status=code)
    answer["Cache-Control"] = "no-store"
    return answer
