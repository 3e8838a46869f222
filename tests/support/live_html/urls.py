"""A page with live elements, and what tests do on the server."""

from django.contrib.auth import get_user_model, login
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import include, path

from realtime import publish, publish_html
from realtime.layers import get_layer

from .models import Product


def page(request, pk):
    product = get_object_or_404(Product, pk=pk)
    if "meanwhile" in request.GET:  # after the view has read the row, before the page subscribes
        Product(pk=pk, name=product.name, stock=int(request.GET["meanwhile"])).save()
    products = list(Product.objects.order_by("pk"))
    return render(request, "live_html/page.html", {"product": product, "products": products})


def part(request, pk):
    """What htmx loads later."""
    product = get_object_or_404(Product, pk=pk)
    return render(request, "live_html/part.html", {"product": product})


def enter(request, name):
    user = get_user_model().objects.get(username=name)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


def add(request, name):
    return HttpResponse(str(Product.objects.create(name=name, stock=1).pk))


def save(request, pk, stock):
    product = Product.objects.get(pk=pk)
    product.stock = stock
    product.save()
    return HttpResponse()


def delete(request, pk):
    Product.objects.get(pk=pk).delete()
    return HttpResponse()


def show(request, pk, action):
    """Publish the HTML of the query, to an element."""
    publish_html(
        f"stock/{pk}",
        None if action == "remove" else "live_html/_anything.html",
        {"html": request.GET.get("html", "")},
        action=action,
        target=request.GET.get("target"),
    )
    return HttpResponse()


def forge(request, pk):
    """Publish what a client would like to be HTML."""
    data = {"action": "update", "target": "word", "html": "forged", "tags": {"realtime": "html"}}
    publish(f"stock/{pk}", data)
    return HttpResponse()


def forget(request, pk):
    """Begin the numbering of the room again, and change the row quietly."""
    layer = get_layer()
    layer.renew_sync(f"stock/{pk}", layer.history_sync(f"stock/{pk}").position.epoch)
    Product.objects.filter(pk=pk).update(stock=77)
    return HttpResponse()


def buy(request, pk):
    return redirect("page", pk)


urlpatterns = [
    path("<int:pk>/", page, name="page"),
    path("<int:pk>/part/", part, name="part"),
    path("<int:pk>/buy/", buy, name="buy"),
    path("<int:pk>/save/<int:stock>/", save),
    path("<int:pk>/delete/", delete),
    path("<int:pk>/show/<action>/", show),
    path("<int:pk>/forge/", forge),
    path("<int:pk>/forget/", forget),
    path("enter/<name>/", enter),
    path("add/<name>/", add),
    path("realtime/", include("realtime.urls")),
]
