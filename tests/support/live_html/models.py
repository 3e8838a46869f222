"""Models that are shown on live pages."""

from django.db import models

from realtime import broadcasts


@broadcasts("stock/{pk}", template="live_html/_product.html")
@broadcasts("stock", template="live_html/_row.html", target="row-{pk}", into="rows")
class Product(models.Model):
    name = models.CharField(max_length=50)
    stock = models.IntegerField(default=0)

    def __str__(self):
        return self.name
