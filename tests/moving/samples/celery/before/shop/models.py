from django.db import models


class Order(models.Model):
    price = models.IntegerField()
    total = models.IntegerField(null=True)
    #: In which attempt it was paid, and by which system.
    paid_in = models.IntegerField(null=True)
    paid_by = models.CharField(max_length=20, default="")
    shipped_in = models.IntegerField(null=True)


class Count(models.Model):
    """How many orders there were when the clock asked."""

    orders = models.IntegerField()
    by = models.CharField(max_length=20)
