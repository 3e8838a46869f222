"""The URLs of the HTTP endpoints; a site includes them under `/realtime/`."""

from django.urls import path

from .rest import (
    diagnosis,
    documentation,
    event_streams,
    health,
    metrics,
    openapi,
    publishing,
    reading,
    rooms,
    tickets,
    tokens,
)

app_name = "realtime"

urlpatterns = [
    path("ticket/", tickets.TicketView.as_view(), name="ticket"),
    path("token/", tokens.TokenView.as_view(), name="token"),
    path("diagnosis/", diagnosis.DiagnosisView.as_view(), name="diagnosis"),
    path("rooms/", rooms.RoomListView.as_view(), name="rooms"),
    path("rooms/<path:room>/publish/", publishing.PublishView.as_view(), name="publish"),
    path("rooms/<path:room>/history/", reading.HistoryView.as_view(), name="history"),
    path("rooms/<path:room>/presence/", reading.PresenceView.as_view(), name="presence"),
    path("sse/", event_streams.not_served, name="sse"),
    path("health/live/", health.LiveView.as_view(), name="live"),
    path("health/ready/", health.ReadyView.as_view(), name="ready"),
    path("metrics/", metrics.MetricsView.as_view(), name="metrics"),
    path("docs/", documentation.page, name="docs"),
    path("asyncapi/", documentation.document, name="asyncapi"),
]

if openapi.IS_INSTALLED:
    from .rest.schema import SchemaView

    urlpatterns.append(path("schema/", SchemaView.as_view(), name="schema"))
