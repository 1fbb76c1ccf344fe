"""dj-queue as its documentation runs it: a supervisor with one worker process, a dispatcher and a scheduler."""

from __future__ import annotations

from benchmarks.driver import DjangoDriver


class DjQueue(DjangoDriver):
    worker = ("django", "dj_queue")
    has_bulk = True

    def enqueue_bulk(self, count: int) -> None:
        self._nothing.get_backend().enqueue_all([(self._nothing, [], {})] * count)

    def fill(self, count: int) -> None:
        for start in range(0, count, 1000):
            self.enqueue_bulk(min(1000, count - start))

    def left(self) -> int:
        from dj_queue.models import Job

        number: int = Job.objects.filter(finished_at=None).count()
        return number


if __name__ == "__main__":
    DjQueue.serve()
