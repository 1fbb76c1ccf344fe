from reinhardt_tasks import RetryStrategy, task

from . import jobs


@task(timeout=60, backoff=RetryStrategy.no_retry())
def add_up(order_id: int, vat: int = 0) -> None:
    jobs.add_up(order_id, vat)


@task(backoff=RetryStrategy.no_retry())
def count_orders(label: str, short: bool = False) -> None:
    jobs.count_orders(label, short)
