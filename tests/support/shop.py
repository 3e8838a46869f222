"""Models that broadcast, and the tables for them."""

# ruff: noqa: DJ008
from contextlib import contextmanager

from django.db import connection, models

from realtime import broadcasts


@broadcasts("orders/{pk}", fields=["status", "total", "due", "label", "reference"])
class Order(models.Model):
    status = models.CharField(max_length=20, default="new")
    total = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    due = models.DateField(null=True)
    reference = models.UUIDField(null=True)
    secret = models.CharField(max_length=20, default="hidden")

    class Meta:
        app_label = "tests"

    @property
    def label(self):
        return f"Order {self.pk}"


class OldOrder(Order):
    class Meta:
        app_label = "tests"
        proxy = True


class GiftOrder(Order):
    wrapping = models.CharField(max_length=20, default="red")

    class Meta:
        app_label = "tests"


@broadcasts(["shops/{shop}", "items"], fields=["name"])
class Item(models.Model):
    name = models.CharField(max_length=20)
    shop = models.CharField(max_length=20, null=True)  # noqa: DJ001

    class Meta:
        app_label = "tests"


def rooms_of(note):
    return [f"notes/{word}" for word in note.words.split()]


@broadcasts(rooms_of, serializer="tests.support.shop.serialized")
class Note(models.Model):
    words = models.CharField(max_length=200)

    class Meta:
        app_label = "tests"


def serialized(note):
    if "broken" in note.words:
        raise ZeroDivisionError
    return {"count": len(note.words.split())}


@broadcasts("stock/{pk}", template="stock.html")
@broadcasts("stock", template="row.html", target="row-{pk}", into="rows", insert="prepend")
class Product(models.Model):
    name = models.CharField(max_length=20)
    stock = models.IntegerField(default=0)

    class Meta:
        app_label = "tests"


@broadcasts("dated/{pk}", fields=["day"])
class Dated(models.Model):
    day = models.IntegerField(default=0)

    class Meta:
        abstract = True


class Holiday(Dated):
    class Meta:
        app_label = "tests"


TABLES = [Order, GiftOrder, Item, Note, Product, Holiday]


@contextmanager
def tables():
    with connection.schema_editor() as editor:
        for model in TABLES:
            editor.create_model(model)
    yield
    with connection.schema_editor() as editor:
        for model in reversed(TABLES):
            editor.delete_model(model)
