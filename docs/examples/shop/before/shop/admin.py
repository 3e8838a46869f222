from django.contrib import admin

from .models import Customer, Message, Order, Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["name", "price", "stock"]
    list_editable = ["stock"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["__str__", "customer", "product", "status"]
    list_editable = ["status"]


admin.site.register([Customer, Message])
