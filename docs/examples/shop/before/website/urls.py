from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from shop import views

urlpatterns = [
    path("", views.products, name="products"),
    path("buy/<int:pk>/", views.buy, name="buy"),
    path("orders/", views.orders, name="orders"),
    path("support/", views.support, name="support"),
    path("support/<int:pk>/", views.support, name="support-of"),
    path("login/", LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]
