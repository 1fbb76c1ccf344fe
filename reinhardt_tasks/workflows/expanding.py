"""A step that is run for each item of a result becomes as many steps as that has items, in the transaction that records it.

Their places were kept free when the workflow started (`positions.py`), so that whoever lays them out, they are the same rows
and the same jobs. The step itself has ended by this; what follows it waits at the gate behind it, for its members now.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, Max

from ..models import StepRow, WorkflowRow
from ..serialization import decode_call, encode_call
from ..workflow_states import HEADER, StepStatus
from .ids import step_id
from .placeholders import put
from .places import ROWS, steps_in
from .positions import MOST_STEPS, members_at, striped
from .reading import values_of
from .sending import Post
from .sources import ITEM

#: Letters of a member's name that are the step's.
_NAME = 180


def expand(using: str, row: StepRow, post: Post, now: datetime) -> str | None:
    """Store a member for each item and send them; return None, or in a sentence why there can be none.

    Call it inside of a transaction that nobody else can be in with this step.
    """
    workflow = str(row.workflow_id)
    items = values_of(workflow, [json.loads(row.over or "null")])[0]
    # Two steps of one workflow are laid out one after the other: together they must not be too many.
    flow = WorkflowRow.objects.using(using).select_for_update().only("steps").get(pk=workflow)
    if (problem := _problem(row, items, flow.steps)) is not None:
        return problem
    members = _members(row, items)
    gates = _gates(row, members)
    post.take(members, now)
    rows = StepRow.objects.using(using)
    rows.bulk_create([*members, *gates], batch_size=ROWS)
    door = rows.filter(pk=step_id(workflow, _door(row)))
    meeting = len(gates or members)
    door.update(needs=F("needs") + meeting, open_needs=F("open_needs") + meeting)
    rows.filter(pk=row.pk).update(
        status=StepStatus.SUCCESS.value,
        is_gate=True,
        is_through=True,
        result=json.dumps(len(members)),
        ready_at=now,
        finished_at=now,
        look_at=None,
    )
    WorkflowRow.objects.using(using).filter(pk=workflow).update(steps=F("steps") + len(members) - 1)
    return None


def fold(using: str, workflow: str) -> None:
    """Take back what was laid out, for a workflow that begins anew. Call inside of a transaction, with its row locked."""
    rows = steps_in(using, workflow)
    members = rows.filter(member_of__isnull=False)
    # A member may have been retried more often than its step. What is laid out anew must not be the same jobs.
    latest = members.filter(is_gate=False).order_by().values_list("member_of").annotate(round=Max("round"))
    for position, its_round in latest.iterator():
        rows.filter(position=int(position or 0), round__lt=its_round).update(round=its_round)
    members._raw_delete(using)
    expanded = rows.filter(over__isnull=False, is_gate=True)
    doors = [step_id(workflow, _door(row)) for row in expanded.only("followers")]
    if not doors:
        return
    StepRow.objects.using(using).filter(pk__in=doors).update(needs=1)
    expanded.update(is_gate=False)
    WorkflowRow.objects.using(using).filter(pk=workflow).update(steps=rows.filter(is_gate=False).count())


def _problem(row: StepRow, items: Any, steps: int) -> str | None:
    if not isinstance(items, list):
        return (
            f"Step {_label(row)!r} is run for each item of a list, and what came before it is a {type(items).__name__}."
        )
    total = steps - 1 + len(items)
    if total > MOST_STEPS:
        return (
            f"Step {_label(row)!r} is run for each of {len(items):,} items: the workflow would have {total:,} steps, and "
            f"{MOST_STEPS:,} are the most. Return a list of batches, and let the step do the work of one."
        )
    return None


def _members(row: StepRow, items: Sequence[Any]) -> list[StepRow]:
    call = decode_call(row.payload)
    note = call.headers[HEADER]
    paths = [path for path, source in note["places"] if source == ITEM]
    places = [place for place in note["places"] if place[1] != ITEM]
    filled: list[Any] = [call.args, call.kwargs]
    members = []
    for number, (position, value) in enumerate(zip(members_at(row.position, len(items)), items, strict=True)):
        # Written as text before the next item takes the place of this one.
        for path in paths:
            put(filled, path, value)
        own = {"id": note["id"], "step": position} | ({"places": places} if places else {})
        member = _made_for(row, position)
        member.name = f"{_label(row)[:_NAME]}[{number}]"
        member.payload = encode_call(row.task, filled[0], filled[1], {**call.headers, HEADER: own})
        members.append(member)
    return members


def _gates(row: StepRow, members: Sequence[StepRow]) -> list[StepRow]:
    """Return the gates at which members meet before they meet all, and lead the members there."""
    first = row.position + 1 + len(members)
    gates = []
    for number, stripe in enumerate(striped(members)):
        gate = StepRow(
            id=step_id(row.workflow_id, first + number),
            workflow_id=row.workflow_id,
            position=first + number,
            is_gate=True,
            needs=len(stripe),
            open_needs=len(stripe),
            followers=row.followers,
            member_of=row.position,
        )
        gates.append(gate)
        for member in stripe:
            member.followers = json.dumps([gate.position])
    return gates


def _made_for(row: StepRow, position: int) -> StepRow:
    return StepRow(
        id=step_id(row.workflow_id, position),
        workflow_id=row.workflow_id,
        position=position,
        member_of=row.position,
        needs=0,
        open_needs=0,
        followers=row.followers,
        on_failure=row.on_failure,
        instead=row.instead,
        alias=row.alias,
        task=row.task,
        queue=row.queue,
        priority=row.priority,
        max_attempts=row.max_attempts,
        run_after=row.run_after,
        metadata=row.metadata,
        limits=row.limits,
        # A workflow that begins anew has other jobs in the same places.
        round=row.round,
    )


def _door(row: StepRow) -> int:
    """Return the position of the gate behind a step: all that follows it waits there."""
    (door,) = json.loads(row.followers)
    return int(door)


def _label(row: StepRow) -> str:
    return row.name or row.task.rpartition(".")[2]
