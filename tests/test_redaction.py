"""`@task(redact=…)`: what people see of a call's arguments, and what nobody does."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from reinhardt_tasks import task
from reinhardt_tasks._compat import InvalidTask
from reinhardt_tasks.exception_text import traceback_text
from reinhardt_tasks.exceptions import OperationRefused
from reinhardt_tasks.jobs import Claim, Failed, Job, Succeeded, new_id
from reinhardt_tasks.redaction import (
    REDACTED,
    call_cleaner,
    cleaner,
    redacted_call,
    restored_call,
    shown_call,
    without_secrets,
)
from reinhardt_tasks.registry import registry
from reinhardt_tasks.results import fill_result
from reinhardt_tasks.serialization import REFUSED
from reinhardt_tasks.tracebacks import exception_line
from reinhardt_tasks.worker.outages import REFUSAL_LETTERS, _refusal
from tests.operations import chores


def job_of(name: str, *args: Any, **kwargs: Any) -> Job:
    return Job(id=new_id(), name=name, payload=json.dumps([list(args), kwargs]), backend="default")


@pytest.mark.parametrize(
    ("chore", "call", "seen"),
    [
        (chores.add, ((1,), {"b": 2}), ([1], {"b": 2})),
        (chores.log_in, (("ada", "secret"), {"remember": True}), (["ada", REDACTED], {"remember": True})),
        (chores.log_in, (("ada",), {"password": "secret"}), (["ada"], {"password": REDACTED})),
        # What the function has no place for was enqueued for an older one.
        (chores.log_in, (("ada", "secret", "more"), {"pin": 1}), (["ada", REDACTED, REDACTED], {"pin": REDACTED})),
        (chores.whisper, (("a", "b"), {"c": 1}), ([REDACTED, REDACTED], {"c": REDACTED})),
        (chores.murmur, (("a", "b", "c"), {}), (["a", REDACTED, REDACTED], {})),
        # The context is none of the caller's arguments.
        (chores.mutter, (("a",), {"b": 1}), (["a"], {"b": REDACTED})),
    ],
)
def test_a_call_is_seen_without_what_is_redacted(chore: Any, call: Any, seen: Any) -> None:
    shown = redacted_call(chore, *call)
    assert (shown.args, shown.kwargs) == seen
    assert shown.is_redacted == (REDACTED in shown.text)
    stored = shown_call(job_of(chore.module_path, *call[0], **call[1]))
    assert (stored.args, stored.kwargs) == seen


def test_a_call_is_written_on_one_line() -> None:
    assert str(redacted_call(chores.log_in, ["Ädä\n", "secret"], {"remember": True})) == (
        f'("Ädä\\n", "{REDACTED}", remember=true)'
    )
    assert str(redacted_call(chores.whisper, [], {})) == "()"


def test_of_an_unknown_task_nothing_is_seen() -> None:
    shown = shown_call(job_of("gone.tasks.none", "secret", b={"c": "secret"}))
    assert (shown.args, shown.kwargs) == ([REDACTED], {"b": REDACTED})


def test_damaged_arguments_are_told_without_them() -> None:
    for payload in ("swordfish", '["swordfish"]', '{"swordfish": 1}', '[["swordfish"], 1]', "[" * 100_000):
        shown = shown_call(Job(id=new_id(), name=chores.add.module_path, payload=payload, backend="default"))
        assert shown.args == [] and "damaged" in shown.problem and "swordfish" not in shown.problem


def test_a_renamed_task_is_redacted_under_its_old_name(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.register(chores.log_in, "old.tasks.log_in")
    try:
        assert shown_call(job_of("old.tasks.log_in", "ada", "secret")).args == ["ada", REDACTED]
    finally:
        registry.unregister("old.tasks.log_in")


def test_values_of_redacted_arguments_are_taken_out_of_texts() -> None:
    job = job_of(
        chores.log_in.module_path, "ada-lovelace", {"old": "swörd\nfish", "new": ["swörd\nfish2", 12345, True]}
    )
    text = "ada-lovelace: 'swörd\\nfish2' is not \"sw\\u00f6rd\\nfish\", nor swörd\nfish or 12345; True"
    assert without_secrets(job, text) == (
        f"ada-lovelace: '{REDACTED}' is not \"{REDACTED}\", nor {REDACTED} or {REDACTED}; True"
    )
    assert without_secrets(job_of(chores.log_in.module_path, "ada", "abc"), "abc ada") == "abc ada"
    assert without_secrets(job_of(chores.add.module_path, "ada-lovelace"), "ada-lovelace") == "ada-lovelace"


@pytest.mark.parametrize(
    "payload",
    [
        "damaged",
        f"{REFUSED}signed with another key",
        '[["ada","swordfish"],{},{"workflow":{"places":3}}]',
        '[["ada","swordfish"],{},{"workflow":{"places":[[1]]}}]',
        '[["ada","swordfish"],{},{"workflow":{"places":[[["a"],[]]]}}]',
    ],
)
def test_where_the_arguments_cannot_be_read_nothing_is_told_that_may_hold_a_redacted_one(payload: str) -> None:
    def cleaned(name: str, **values: Any) -> str:
        return cleaner(Job(id=new_id(), name=name, payload=payload, backend="default"), **values)("swordfish")

    assert cleaned(chores.add.module_path) == "swordfish"
    assert cleaned(chores.log_in.module_path) == cleaned(chores.whisper.module_path) == REDACTED
    assert cleaned("gone.tasks.none") == cleaned(chores.add.module_path, everything=True) == REDACTED
    job = Job(id=new_id(), name=chores.log_in.module_path, payload=payload, backend="default")
    # What is not there is not redacted.
    assert without_secrets(job, "") == ""


def test_values_are_found_however_deep_they_lie() -> None:
    deep: Any = "swordfish"
    for _ in range(3 * sys.getrecursionlimit()):
        deep = [deep]
    assert call_cleaner(chores.log_in, ["ada", deep], {})("a swordfish of ada") == f"a {REDACTED} of ada"


def test_where_the_arguments_cannot_be_walked_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr("reinhardt_tasks.redaction._leaves", refuse)
    assert call_cleaner(chores.log_in, ["ada", "swordfish"], {})("swordfish") == REDACTED
    assert cleaner(job_of(chores.log_in.module_path, "ada", "swordfish"))("swordfish") == REDACTED


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("logged in with swordf…", f"logged in with {REDACTED}…"),
        ("swor…\n…-fish of ada", f"{REDACTED}…\n…{REDACTED} of ada"),
        # Fewer letters than are looked for elsewhere, or other ones.
        ("swo…fis sword …swordfish", f"swo…fis sword …{REDACTED[:0]}swordfish"),
        ("sword-fish…sword", f"{REDACTED}…sword"),
        ("…d-fish…", f"…{REDACTED}…"),
        # As a traceback's middle is left out.
        ("x sword-\n… 9 letters left out …\n-fish\ny", f"x {REDACTED}\n… 9 letters left out …\n{REDACTED}\ny"),
    ],
)
def test_what_a_cut_has_left_of_a_redacted_value_is_taken_out_too(text: str, seen: str) -> None:
    job = job_of(chores.log_in.module_path, "ada", "sword-fish")
    assert without_secrets(job, text.replace("swordf…", "sword-f…")) == seen


@pytest.mark.parametrize("secret", ["sword-fish" * 10_000, "sword\n" * 10_000])
def test_what_the_limit_of_a_traceback_has_left_of_a_redacted_value_is_taken_out(secret: str) -> None:
    text = without_secrets(job_of(chores.log_in.module_path, "ada", secret), traceback_text(ValueError(secret)))
    assert "sword" not in text and text.count(REDACTED) == 2 and " letters left out " in text


def test_what_is_cut_of_a_stores_refusal_is_taken_out_too() -> None:
    job = job_of(chores.log_in.module_path, "ada", "sword-fish" * 1000)
    outcome = Succeeded(claim=Claim(job=job, token=1, worker="w"))
    refused = _refusal(outcome, ValueError(f"no room for {'sword-fish' * 1000}"))
    assert isinstance(refused, Failed)
    words = exception_line(refused.attempt.traceback).partition(": ")[2]
    assert len(words) == REFUSAL_LETTERS
    assert without_secrets(job, refused.attempt.traceback).endswith(f"no room for {REDACTED}…\n")


def test_an_edit_keeps_what_was_not_seen() -> None:
    stored = (["ada", "secret"], {"remember": False})
    assert restored_call(chores.log_in, stored, ["bob", REDACTED], {"remember": True}) == (
        ["bob", "secret"],
        {"remember": True},
    )
    assert restored_call(chores.log_in, stored, ["bob", "new"], {}) == (["bob", "new"], {})
    # What was moved is not what is stored there, and would be stored as it stands.
    for args, kwargs, place in (
        ([REDACTED, REDACTED], {}, "1 by position"),
        (["bob"], {"password": REDACTED}, "'password'"),
    ):
        with pytest.raises(
            OperationRefused, match=f"Argument {place} is .redacted., which stands for a stored argument"
        ):
            restored_call(chores.log_in, stored, args, kwargs)
    # As a value of its own, where nothing was hidden.
    assert restored_call(chores.add, ([1], {}), [REDACTED], {}) == ([REDACTED], {})


def test_what_is_logged_tells_no_redacted_argument(caplog: pytest.LogCaptureFixture) -> None:
    job = job_of(chores.log_in.module_path, "ada", "swordfish")
    result = fill_result(job, chores.log_in, ["ada", "swordfish"], {})
    with caplog.at_level(logging.INFO):
        logging.getLogger("anybody").info("%s %r %s", job, job, result)
    assert "swordfish" not in caplog.text and "'ada'" in caplog.text and REDACTED in caplog.text


@pytest.mark.parametrize(
    ("redact", "words"),
    [
        (["passwrod"], "redact names 'passwrod', which is no parameter of it. Did you mean 'password'?"),
        (["zzz"], "It has name, password, remember."),
        ("password", "redact must be a list"),
        ([1], "redact must be a list"),
        (1, "redact must be a list"),
    ],
)
def test_what_is_no_parameter_is_refused_at_once(redact: Any, words: str) -> None:
    with pytest.raises(InvalidTask) as told:
        task(redact=redact)(chores.log_in.func)
    assert words in str(told.value)


def test_the_context_is_no_parameter_to_redact() -> None:
    def takes_context(context: Any, name: str) -> None: ...

    with pytest.raises(InvalidTask, match="'context', which is no parameter"):
        task(redact=["context"], takes_context=True)(takes_context)


@pytest.mark.parametrize("redact", [(), [], False, True, ("password",), {"password"}])
def test_what_may_be_said(redact: Any) -> None:
    from dataclasses import replace

    made = replace(chores.log_in, redact=redact)
    assert made.redact == (tuple(redact) if isinstance(redact, (list, set)) else redact)
    assert made.using(priority=3).redact == made.redact
