from django.core.management.base import BaseCommand
from django_q.tasks import async_task

from shop.models import Order


class Command(BaseCommand):
    """What a view would do: keep an order, and let the rest be done."""

    def handle(self, *args, **options):
        order = Order.objects.create(price=100)
        async_task("shop.jobs.add_up", order.pk, vat=19)
        self.stdout.write(str(order.pk))
