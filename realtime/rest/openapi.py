"""Describes the endpoints in OpenAPI, if drf-spectacular is installed: the extra `openapi`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, TypeVar

from . import shapes

Method = TypeVar("Method", bound=Callable[..., Any])

IS_INSTALLED = find_spec("drf_spectacular") is not None


def view_schema() -> dict[str, Any]:
    """Return what a view needs to be described: its attributes."""
    if not IS_INSTALLED:
        return {}
    from drf_spectacular.openapi import AutoSchema

    return {"schema": AutoSchema()}


def documented(
    answer: type,
    *errors: int,
    request: type | None = None,
    query: Mapping[str, tuple[type, str]] | None = None,
) -> Callable[[Method], Method]:
    """Describe a method of a view: its answer, the statuses of its errors, and what it takes."""

    def decorate(method: Method) -> Method:
        if not IS_INSTALLED:
            return method
        from drf_spectacular.openapi import AutoSchema
        from drf_spectacular.utils import OpenApiParameter, extend_schema

        # What is extended: the default of a site may be DRF's own class, which is another one.
        vars(method)["kwargs"] = {"schema": AutoSchema}
        problems: dict[int, Any] = dict.fromkeys((401, 403, 429, *errors), shapes.Problem)
        describe = extend_schema(
            request=request,
            responses={200: answer, **dict(sorted(problems.items()))},
            parameters=[
                OpenApiParameter(name, kind, description=text)
                for name, (kind, text) in (query or {}).items()
            ],
            tags=["realtime"],
        )
        return describe(method)

    return decorate
