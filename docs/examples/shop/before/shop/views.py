from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from .models import Customer, Order, Product


@login_required
def products(request):
    return render(request, "shop/products.html", {"products": Product.objects.order_by("name")})


@login_required
@require_POST
@transaction.atomic
def buy(request, pk):
    product = get_object_or_404(Product.objects.select_for_update(), pk=pk)
    if product.stock:
        product.stock -= 1
        product.save()
        Order.objects.create(customer=request.user, product=product)
    return redirect("orders")


@login_required
def orders(request):
    found = Order.objects.filter(customer=request.user).select_related("product")
    return render(request, "shop/orders.html", {"orders": found.order_by("-pk")})


@login_required
def support(request, pk=None):
    """The conversation of a customer with the support."""
    if pk is not None and not request.user.is_staff:
        raise PermissionDenied
    customer = request.user if pk is None else get_object_or_404(Customer, pk=pk)
    if request.method == "POST" and request.POST.get("text", "").strip():
        customer.support.create(author=request.user, text=request.POST["text"].strip())
        return redirect(request.path)
    found = customer.support.select_related("author").order_by("pk")
    return render(request, "shop/support.html", {"customer": customer, "talk": found})
