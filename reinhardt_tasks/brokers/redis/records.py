"""Jobs as hashes, and what scripts tell of lines and workers. A field that is not there is None; a damaged one spoils only itself.

n name, q queue, p priority, a arguments, st state, tk token, mx attempts at most, once its once key, md metadata, pg
progress, hs history, rs result, lg log, cr cancellation requested, wk worker, hb the worker that holds it ('' for none), ra
run after, en enqueued, du due, s1 first started, sa last started, fi finished. Where it is limited: lm limits, gt how many of
them it has passed, op when it may go on, un until when it has its once key, fk the once key that it had, sk what its arguments
are signed for, other than its id; co 1 for a coroutine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...gates import Limit, Until, decode_limits, encode_limits
from ...jobs import Job, TaskStatus
from ...serialization import decode_history, decode_or, decode_progress, encode_history
from ...timestamps import from_micros, to_micros
from ..base import Line, WorkerInfo, WorkerRecord
from .seals import Seal


def job_values(job: Job, seal: Seal | None) -> list[Any]:
    """Return a job as ten values for the scripts that store it."""
    return [
        job.id,
        job.name,
        job.queue,
        job.priority,
        seal.put_on(_sealed_for(job), job.name, job.payload) if seal else job.payload,
        "" if job.run_after is None else to_micros(job.run_after),
        job.max_attempts or "",
        job.once_key or "",
        encode_metadata(job.metadata) if job.metadata else "",
        _rules(job),
    ]


def _rules(job: Job) -> str:
    """Return what only some jobs have, as the scripts read it; most have nothing."""
    if not job.limits and job.once_until is None and job.debounce is None and not job.is_async:
        return ""
    rules: dict[str, Any] = {}
    if job.is_async:
        rules["co"] = "1"
    if job.limits:
        rules["limits"] = encode_limits(job.limits)
    if job.once_until is not None:
        rules["till"] = job.once_until.value
    if job.debounce is not None:
        rules |= {"wait": int(job.debounce * 1_000_000), "seal": _sealed_for(job)}
        if job.max_wait is not None:
            rules["most"] = int(job.max_wait * 1_000_000)
    return json.dumps(rules)


def _sealed_for(job: Job) -> str:
    # Debounced arguments may be those of a job that is there already, under an id that nobody knows before.
    return job.once_key if job.debounce is not None and job.once_key is not None else job.id


def past_values(job: Job) -> list[Any]:
    """Return what a job has behind it as four values: token, history, when it first started, log."""
    return [
        job.token,
        encode_history(job.history) if job.history else "",
        "" if job.first_started_at is None else to_micros(job.first_started_at),
        job.log or "",
    ]


def encode_metadata(metadata: Mapping[str, Any]) -> str:
    return json.dumps(dict(metadata), separators=(",", ":"))


def job_of(id_: str, pairs: Sequence[str] | Mapping[str, str], backend: str, seal: Seal | None) -> Job:
    """Return the job that a hash holds, given as fields and values in turn."""
    get = (pairs if isinstance(pairs, Mapping) else dict(zip(pairs[::2], pairs[1::2], strict=True))).get
    return Job(
        id=id_,
        backend=backend,
        name=get("n") or "",
        queue=get("q") or "",
        priority=_whole(get("p")) or 0,
        payload=seal.take_off(get("sk") or id_, get("n") or "", get("a") or "") if seal else get("a") or "",
        status=_status(get("st")),
        token=_whole(get("tk")) or 0,
        max_attempts=_whole(get("mx")),
        once_key=get("once") or None,
        once_until=_until(get("un")),
        limits=decode_limits(get("lm")),
        is_async=get("co") == "1",
        metadata=decode_or(get("md"), dict, {}),
        progress=decode_progress(get("pg")),
        history=decode_history(get("hs")),
        result=get("rs"),
        log=get("lg") or None,
        cancel_requested=get("cr") is not None,
        worker=get("wk"),
        run_after=moment_of(get("ra")),
        enqueued_at=moment_of(get("en")),
        due_at=moment_of(get("du")),
        first_started_at=moment_of(get("s1")),
        started_at=moment_of(get("sa")),
        finished_at=moment_of(get("fi")),
    )


def as_line(found: Sequence[Any]) -> Line:
    """Return the line that a script tells of."""
    key, size, every, reach, now, held, waiting = found
    rule = Limit(key=key, size=int(size), every=int(every))
    opens_at = rule.opens_at(int(reach), 0, int(now)) if rule.every else None
    return Line(limit=rule, held=held, waiting=waiting, opens_at=None if opens_at is None else from_micros(opens_at))


def as_worker(id_: str, expires: str, now: str, pairs: Sequence[str], running: int) -> WorkerRecord:
    """Return the worker that a script tells of."""
    facts = dict(zip(pairs[::2], pairs[1::2], strict=True))
    beat = from_micros(int(facts.get("beat", now)))
    return WorkerRecord(
        info=WorkerInfo(
            id=id_,
            name=facts.get("name", "worker"),
            host=facts.get("host", ""),
            pid=int(facts.get("pid", 0)),
            slots=int(facts.get("slots", 1)),
            queues=tuple(filter(None, facts.get("queues", "").split(","))),
            lease=float(facts.get("lease", 30)),
            memory=int(facts["memory"]) if "memory" in facts else None,
        ),
        started_at=from_micros(int(facts.get("started", now))),
        beat_at=beat,
        is_alive=float(expires) > float(now),
        running=int(running),
    )


def _whole(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def moment_of(text: str | None) -> Any:
    """Return a stored moment; None for none, and for one that is damaged."""
    number = _whole(text)
    try:
        return None if number is None else from_micros(number)
    except (OverflowError, ValueError):
        return None


def _until(text: str | None) -> Until | None:
    return Until(text) if text and text in list(Until) else None


def _status(text: str | None) -> TaskStatus:
    try:
        return TaskStatus(text or "")
    except ValueError:
        # Somebody wrote it by hand. A state that nothing acts on keeps the damage to this one job.
        return TaskStatus.FAILURE
