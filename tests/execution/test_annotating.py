"""Metadata and progress are saved when told, and when they changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reinhardt_tasks.contexts import TaskContext
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Claim, Succeeded
from reinhardt_tasks.tasks import task

from .chores import claim_of, run


@task(takes_context=True, metadata={"from": "the task", "list": []})
def annotate(context: TaskContext, mode: str) -> str:
    if mode == "progress":
        context.progress(1, 3)
        context.progress(2, 3)
    elif mode == "save":
        context.metadata["seen"] = context.attempt
        context.save_metadata()
    elif mode == "leave":
        context.metadata["seen"] = "at the end"
    elif mode == "nested":
        context.metadata["list"].append("inside")
    elif mode == "fail":
        context.metadata["seen"] = "before the failure"
        raise ValueError("no")
    elif mode == "odd":
        context.metadata["seen"] = {1, 2}
    return str(context.task_result.id)


@task(takes_context=True)
async def annotate_later(context: TaskContext, mode: str) -> None:
    if mode == "progress":
        await context.aprogress(1, 3)
    context.metadata["seen"] = "at the end"


class Notes:
    """Takes what an execution writes to its store."""

    def __init__(self) -> None:
        self.written: list[tuple[dict[str, Any], Any]] = []

    def __call__(self, claim: Claim, metadata: dict[str, Any], progress: Any) -> bool:
        self.written.append((json.loads(json.dumps(metadata)), progress))
        return True


def written(task_: Any, mode: str) -> list[tuple[dict[str, Any], Any]]:
    notes = Notes()
    run(claim_of(task_, mode), annotate=notes)
    return notes.written


START = {"from": "the task", "list": []}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("nothing", []),
        ("progress", [(START, (1, 3)), (START, (2, 3))]),
        ("save", [({**START, "seen": 1}, None), ({**START, "seen": 1}, None)]),
        ("leave", [({**START, "seen": "at the end"}, None)]),
        ("fail", [({**START, "seen": "before the failure"}, None)]),
        ("nested", [({"from": "the task", "list": ["inside"]}, None)]),
        ("odd", []),
    ],
)
def test_metadata_is_saved_when_told_and_when_it_changed(mode: str, expected: Any) -> None:
    assert written(annotate, mode) == expected


def test_a_task_changes_its_own_metadata_only() -> None:
    written(annotate, "nested")
    assert annotate.metadata == START


def test_a_coroutine_writes_progress_and_metadata() -> None:
    end = ({"seen": "at the end"}, None)
    assert written(annotate_later, "leave") == [end]
    assert written(annotate_later, "progress") == [({}, (1, 3)), (end[0], (1, 3))]


@pytest.mark.parametrize("mode", ["leave", "odd"])
def test_metadata_that_cannot_be_saved_harms_nothing(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(*args: Any) -> bool:
        raise QueueError("down")

    assert isinstance(run(claim_of(annotate, mode), annotate=refuse), Succeeded)
    assert "metadata could not be saved" in caplog.text
