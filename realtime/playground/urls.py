"""The URLs of the playground; a site includes them where it likes."""

from django.urls import path

from . import views

app_name = "realtime_playground"

urlpatterns = [
    path("", views.page, name="page"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("explain/", views.explanations, name="explain"),
]
