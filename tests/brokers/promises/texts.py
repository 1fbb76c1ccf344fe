"""Texts that no store may look into: what was written is read, letter by letter."""

from __future__ import annotations

import json
import random

import pytest

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.jobs import Failed, Progress, Succeeded

from .base import Promises, attempt_of, claimed, new_job, new_worker, running, stored_job

#: JSON texts. The backslashes are part of the text: JSON's own escapes, which some stores would like to resolve.
TEXTS = {
    "spaces kept": '{ "b" : 1,\t"a":  2.50, "a": 1e2 }\n',
    "other scripts": '"Größe 東京 العربية ไทย 🚆👩‍🚀"',
    "NUL escaped": r'"\u0000 and \\u0000"',
    "lone surrogates escaped": r'"\ud83d \udc00 \ud83d\ude86"',
    "quotes and marks": r"""{"a": "'; DROP TABLE jobs; -- \"%s %(x)s {0} ?1 :name $1 \\ \n"}""",
    "line separators": '"\u2028\u2029\u0085\ufeff\u200b\u0301"',
    "combining letters": '"e\u0301 is not \u00e9"',
    "large number": "9" * 400,
    "blanks at the end": '"x"   ',
}


class Texts(Promises):
    @pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
    def test_payload_and_result_are_kept_letter_by_letter(self, broker: Broker, text: str) -> None:
        (job,) = broker.enqueue([new_job(payload=text)])
        assert job.payload == text
        claim = claimed(self.another_broker())
        assert claim.job.payload == text
        broker.settle([Succeeded(claim=claim, result=text)])
        done = stored_job(broker, job)
        assert (done.payload, done.result) == (text, text)

    def test_a_megabyte_is_kept_byte_for_byte(self, broker: Broker, rng: random.Random) -> None:
        letters = "".join(rng.choices('abc äö東🚆\\"\n\t%', k=1_000_000))
        text = json.dumps(letters, ensure_ascii=False)
        assert len(text.encode()) > 1_000_000
        broker.enqueue([new_job(payload=text)])
        claim = claimed(self.another_broker())
        assert claim.job.payload.encode() == text.encode()
        broker.settle([Succeeded(claim=claim, result=text)])
        assert stored_job(broker, claim).result.encode() == text.encode()

    def test_a_tracebacks_odd_letters_do_no_harm(self, broker: Broker) -> None:
        broker.enqueue([new_job() for _ in range(3)])
        good, bad, other = broker.claim(None, 3, new_worker())
        exception, traceback = "project.errors.Größe", "ValueError: \x00 🚆 \udcff '; -- \\u0000 %s\n" * 100
        outcomes = [
            Succeeded(claim=good),
            Failed(claim=bad, attempt=attempt_of(bad, exception=exception, traceback=traceback)),
            Succeeded(claim=other),
        ]
        assert broker.settle(outcomes) == []
        (attempt,) = stored_job(broker, bad).history
        assert (attempt.exception, attempt.traceback) == (exception, traceback)

    def test_metadata_is_kept_when_enqueued_and_when_annotated(self, broker: Broker) -> None:
        metadata = {
            "text": "Größe 東京 🚆 \x00 \ud83d",
            "": None,
            "nested": {"list": [1, 2.5, True, False, None, "x", [], {}]},
            "large": 2**63,
            "small": -1e-300,
        }
        claim = running(broker, metadata=metadata)
        assert claim.job.metadata == metadata
        changed = {**metadata, "more": ["\u2028"]}
        assert broker.annotate(claim, changed, Progress(0.25, 3)) is True
        job = stored_job(self.another_broker(), claim)
        assert (job.metadata, job.progress) == (changed, (0.25, 3))
        broker.settle([Succeeded(claim=claim)])
        assert stored_job(broker, claim).metadata == changed

    @pytest.mark.parametrize(
        "message",
        ["Größe 東京 🚆", "", "\x00\x1f\u2028" * 66, "🚆" * 200, "half \ud83d", '"quoted", \\'],
        ids=["words", "empty", "control", "long", "half", "quoted"],
    )
    def test_progress_is_kept_with_its_message(self, broker: Broker, message: str) -> None:
        claim = running(broker)
        progress = Progress(2.5, 2**53, message)
        assert broker.annotate(claim, {}, progress) is True
        kept = stored_job(self.another_broker(), claim).progress
        assert kept == (2.5, 2**53)
        assert kept is not None and kept.message == progress.message
        broker.settle([Succeeded(claim=claim)])
        assert repr(stored_job(broker, claim).progress) == repr(progress)
        assert broker.annotate(claim, {}, None) is False

    def test_metadata_that_was_handed_over_is_the_brokers_own(self, broker: Broker) -> None:
        given = {"count": 1}
        claim = running(broker)
        broker.annotate(claim, given, None)
        given["count"] = 2
        assert stored_job(broker, claim).metadata == {"count": 1}

    def test_long_names_are_kept(self, broker: Broker) -> None:
        (job,) = broker.enqueue([new_job(name="n" * 255, queue="q" * 100, once_key="k" * 200)])
        claim = claimed(broker, queues=["q" * 100])
        assert (claim.job.name, claim.job.once_key) == (job.name, job.once_key) == ("n" * 255, "k" * 200)
