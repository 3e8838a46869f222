"""What a site may have in DRF's settings for its own API."""

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.response import Response


class FirstRenderer(BaseContentNegotiation):
    def select_parser(self, request, parsers):
        return None

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], "text/x-own"


def always_200(error, context):
    """Some clients want the error in the body alone."""
    return Response({"error": str(error)}, status=200)
