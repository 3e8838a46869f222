"""The HTTP endpoints; a site includes them under `/realtime/`."""

from django.urls import path

from .api import views

app_name = "realtime"

urlpatterns = [
    path("ticket/", views.TicketView.as_view(), name="ticket"),
    path("rooms/", views.RoomListView.as_view(), name="rooms"),
]
