"""A page with a live room, and what a test does on the server."""

from django.contrib.auth import get_user_model, login
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import include, path

from realtime import history, publish, publish_to_user


def page(request):
    answer = render(
        request, "live_pages/page.html", {"position": history("lobby", limit=0).position}
    )
    if "meanwhile" in request.GET:  # between the rendering and the subscription
        publish("lobby", {"text": request.GET["meanwhile"]})
    return answer


def other(request):
    return render(request, "live_pages/other.html")


def enter(request, name):
    user = get_user_model().objects.get(username=name)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect(page)


def say(request, text):
    publish("lobby", {"text": text})
    return HttpResponse(status=204)


def tell(request, name, text):
    publish_to_user(get_user_model().objects.get(username=name), {"text": text})
    return HttpResponse(status=204)


urlpatterns = [
    path("", page, name="page"),
    path("other/", other),
    path("enter/<name>/", enter),
    path("say/<text>/", say),
    path("tell/<name>/<text>/", tell),
    path("api/", include("accounts.urls")),
    path("playground/", include("realtime.playground.urls")),
    path("realtime/", include("realtime.urls")),
]
