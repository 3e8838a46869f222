"""URLs of a site that is a provider of tokens."""

from django.urls import include, path

from config.urls import urlpatterns as of_the_site

urlpatterns = [
    *of_the_site,
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("_allauth/", include("allauth.headless.urls")),
]
