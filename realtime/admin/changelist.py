"""Searches, sorts and pages the live connections, as Django's admin does it with a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

from ..layers.records import Connection as LiveConnection
from ..models import Connection
from . import cells
from .listing import Filter, Listing


class ConnectionList(ChangeList):
    """Django's change list over what the registry says, which no queryset can ask."""

    _KEYS: ClassVar[dict[str, Callable[[LiveConnection], Any]]] = {
        "user": lambda connection: (not connection.name, connection.name.casefold()),
        "since": lambda connection: -connection.since,
        "address": lambda connection: connection.address,
        "app": lambda connection: (connection.app.casefold(), connection.protocol),
        "expires": lambda connection: (connection.expires_at is None, connection.expires_at or 0),
        "unsent": lambda connection: connection.unsent_bytes,
        "process": lambda connection: connection.process,
    }

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: Any = None
    ) -> QuerySet[Connection]:
        self.filter_specs: list[Any] = []
        self.has_filters = self.has_active_filters = False
        return self.root_queryset

    def get_results(self, request: HttpRequest) -> None:
        self.listing = Listing.of(request)
        self.filter = Filter.of(request.GET, self.query)
        found = self._sorted(self.listing.matching(self.filter))
        self.result_count = len(found)
        self.full_result_count = len(self.listing.connections)
        self.show_full_result_count = self.show_admin_actions = True
        self.can_show_all = self.result_count <= self.list_max_show_all
        self.multi_page = self.result_count > self.list_per_page
        shows_all = self.show_all and self.can_show_all
        self.paginator = Paginator(
            found, self.list_max_show_all if shows_all else self.list_per_page
        )
        page = self.paginator.get_page(self.page_num)
        self.page_num = page.number
        self.links = cells.Links(request, self.model_admin.admin_site)
        self.links.know_rooms(name for connection in page for name in connection.rooms)
        self.result_list = [self._row(connection) for connection in page]

    def _sorted(self, found: list[LiveConnection]) -> list[LiveConnection]:
        # The least important column first: sorting leaves in order what is alike.
        for column, direction in reversed(self.get_ordering_field_columns().items()):
            name = self.list_display[column] if 0 <= column < len(self.list_display) else ""
            if key := self._KEYS.get(str(name)):
                found = sorted(found, key=key, reverse=direction == "desc")
        return found

    def _row(self, connection: LiveConnection) -> Connection:
        row: Any = Connection(client=connection.client)
        row.description = connection.name or connection.address
        row.live = connection
        row.process = self.listing.process_of(connection)
        row.links = self.links
        return row  # type: ignore[no-any-return]
