from django.db import models


class Order(models.Model):
    price = models.IntegerField()
    total = models.IntegerField(null=True)


class Count(models.Model):
    """How many orders there were when the clock asked."""

    orders = models.IntegerField()
    label = models.CharField(max_length=20)
