"""The URLs of the token endpoints; a site includes them under `/api/`."""

from django.urls import path

from . import views

app_name = "accounts"

urlpatterns = [
    path("token/", views.ObtainView.as_view(), name="token"),
    path("token/refresh/", views.RefreshView.as_view(), name="refresh"),
    path("token/verify/", views.VerifyView.as_view(), name="verify"),
    path("logout/", views.LogoutView.as_view(), name="logout"),
]
