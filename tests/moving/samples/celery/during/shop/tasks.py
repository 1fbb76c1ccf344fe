from celery import shared_task as celery_task

from reinhardt_tasks.contrib.celery import shared_task

from .models import Count, Order


class BankAway(Exception):
    pass


@celery_task
def add_up(order_id, vat):
    order = Order.objects.get(pk=order_id)
    order.total = order.price * (100 + vat) // 100
    order.save(update_fields=["total"])


@shared_task(bind=True, autoretry_for=(BankAway,), retry_backoff=1, retry_jitter=False, max_retries=3)
def charge(self, order_id):
    if self.request.retries == 0:
        raise BankAway
    Order.objects.filter(pk=order_id).update(paid_in=self.request.retries + 1, paid_by="reinhardt_tasks")


@shared_task(bind=True, max_retries=5)
def ship(self, order_id):
    if not Order.objects.filter(pk=order_id, paid_in__isnull=False).exists():
        raise self.retry(countdown=1)
    Order.objects.filter(pk=order_id).update(shipped_in=self.request.retries + 1)


@celery_task
def count_orders():
    Count.objects.create(orders=Order.objects.count(), by="celery")
