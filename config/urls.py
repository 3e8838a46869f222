"""URLs of the example site."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("realtime.playground.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("accounts.urls")),
    path("realtime/", include("realtime.urls")),
]
