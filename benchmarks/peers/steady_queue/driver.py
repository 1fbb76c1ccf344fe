"""steady-queue as its documentation runs it: a supervisor with one worker process and a dispatcher. It keeps no results."""

from __future__ import annotations

from benchmarks.driver import DjangoDriver


class SteadyQueue(DjangoDriver):
    worker = ("django", "steady_queue")

    def left(self) -> int:
        from steady_queue.models import Job

        number: int = Job.objects.filter(finished_at=None).count()
        return number


if __name__ == "__main__":
    SteadyQueue.serve()
