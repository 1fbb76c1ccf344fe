"""What a task's context shows and saves: metadata, and progress with its message."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

from reinhardt_tasks.contexts import TaskContext
from reinhardt_tasks.jobs import Progress

from .doors_without_store import aliases, double

__all__ = ["aliases"]


def a_context(annotate: Any = None) -> TaskContext:
    return TaskContext(task_result=double.enqueue(4), annotate=annotate)


def test_a_context_shows_and_saves_the_metadata() -> None:
    written: list[Any] = []
    context = a_context(lambda metadata, progress: written.append((dict(metadata), progress)))
    assert context.metadata == {"team": "a"}
    context.metadata["row"] = 7
    assert written == []
    context.save_metadata()
    assert written == [({"team": "a", "row": 7}, None)]


def test_a_context_tells_of_progress() -> None:
    written: list[Any] = []
    context = a_context(lambda metadata, progress: written.append((dict(metadata), progress)))
    context.progress(1, 3)
    assert context.task_result.progress == (1, 3)
    asyncio.run(context.aprogress(2, 3))
    asyncio.run(context.asave_metadata())
    assert [progress for _, progress in written] == [(1, 3), (2, 3), (2, 3)]


def test_progress_is_a_pair_with_a_message_beside_it() -> None:
    context = a_context()
    context.progress(1, 3, "Fetching")
    progress = context.task_result.progress
    done, total = progress
    assert (done, total) == (progress.done, progress.total) == (1, 3)
    assert progress.message == "Fetching"
    asyncio.run(context.aprogress(2, 3, message=7))
    assert context.task_result.progress.message == "7"
    context.progress(3, 3)
    assert context.task_result.progress.message is None


def test_progress_is_copied_and_pickled_with_its_message() -> None:
    progress = Progress(1, 3, "Fetching")
    for copied in (pickle.loads(pickle.dumps(progress)), copy.deepcopy(progress)):
        assert (type(copied), copied, copied.message) == (Progress, (1, 3), "Fetching")


def test_a_long_message_is_cut() -> None:
    message = Progress(1, 3, "🚆" * 201).message
    assert message == "🚆" * (Progress.MESSAGE_LIMIT - 1) + "…"
    assert Progress(1, 3, "🚆" * 200).message == "🚆" * 200


def test_a_context_that_nobody_listens_to_is_no_error() -> None:
    context = a_context()
    context.progress(1, 3)
    context.save_metadata()
    assert context.task_result.progress == (1, 3)
