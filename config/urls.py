"""URLs of the example site."""

from django.contrib import admin
from django.urls import include, path

from .views import playground

urlpatterns = [
    path("", playground, name="playground"),
    path("admin/", admin.site.urls),
    path("api/", include("accounts.urls")),
    path("realtime/", include("realtime.urls")),
]
