"""A site that mounts the playground and nothing else."""

from django.urls import include, path

urlpatterns = [path("", include("realtime.playground.urls"))]
