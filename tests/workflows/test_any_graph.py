"""Whatever graph of up to two hundred steps an author may write: it is planned soundly, and run as it says.

In `make test` the graphs are the same ones every time; with REINHARDT_TESTS_SLOW=1 they are many more, and others each time,
which REINHARDT_TEST_SEED repeats.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st

from reinhardt_tasks import (
    ChainStatus,
    InvalidWorkflow,
    TaskChain,
    Workflow,
    item,
    previous_result,
    result_of,
    step,
)

from .running import is_sound
from .tasks import add, fail_noted, note, note_total, ran, spread_noted
from .test_plans import ancestors
from .test_plans import is_sound as is_sound_plan

MOST = 200
IS_THOROUGH = os.environ.get("REINHARDT_TESTS_SLOW") == "1"


@dataclass(frozen=True)
class Node:
    """A part of a graph: what it comes after, which results it reads, and what it is made of."""

    after: frozenset[int]
    reads: frozenset[int]
    kind: str
    items: int = 0

    @property
    def before(self) -> frozenset[int]:
        return self.after | self.reads


KINDS = ["plain", "plain", "plain", "carries on", "handled", "fan"]


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    number = draw(st.integers(1, MOST))
    nodes: list[Node] = []
    steps = 0
    for index in range(number):
        earlier = st.frozensets(st.integers(0, index - 1), max_size=3) if index else st.just(frozenset[int]())
        kind = draw(st.sampled_from(KINDS))
        items = draw(st.integers(0, 5)) if kind == "fan" else 0
        reads = draw(earlier) if kind == "plain" else frozenset[int]()
        nodes.append(Node(after=draw(earlier), reads=reads, kind=kind, items=items))
        steps += {"fan": 2 + items, "handled": 2}.get(kind, 1)
        if steps >= MOST - 6:
            break
    return nodes


def examples(few: int, many: int) -> Callable[[Any], Any]:
    """Let a test have a few examples that are always the same, or many that the run's seed chooses."""
    chosen = settings(
        derandomize=not IS_THOROUGH,
        max_examples=many if IS_THOROUGH else few,
        database=None,
        deadline=None,
        # The fixtures that all examples share hold nothing that one of them could leave to the next.
        suppress_health_check=list(HealthCheck),
    )

    def prepared(test: Any) -> Any:
        made = chosen(test)
        return seed(int(os.environ["REINHARDT_TEST_SEED"]))(made) if IS_THOROUGH else made

    return prepared


def part_of(index: int, node: Node) -> Any:
    name, read = f"n{index}", [result_of(f"n{each}") for each in sorted(node.reads)]
    match node.kind:
        case "carries on":
            return step(fail_noted, index, "both").named(name).on_failure("continue", instead=-index)
        case "handled":
            return step(fail_noted, index, "begin").named(name).on_failure(step(note, index, "end"))
        case "fan":
            links = [
                step(spread_noted, index, node.items),
                step(add, item, index).for_each(previous_result),
                step(note_total, index, previous_result),
            ]
            return TaskChain(name, links)
        case _:
            return step(note, index, "both", *read).named(name)


def flow_of(nodes: list[Node]) -> Workflow:
    flow = Workflow("any")
    for index, node in enumerate(nodes):
        flow.add(part_of(index, node), after=[f"n{each}" for each in sorted(node.after)])
    return flow


def results_of(nodes: list[Node]) -> list[int]:
    """Return what each part comes to, computed without the package."""
    results: list[int] = []
    for index, node in enumerate(nodes):
        match node.kind:
            case "carries on":
                results.append(-index)
            case "fan":
                results.append(sum(number + index for number in range(node.items)))
            case _:
                results.append(index + sum(results[each] for each in node.reads))
    return results


def all_before(nodes: list[Node]) -> list[set[int]]:
    found: list[set[int]] = []
    for node in nodes:
        found.append(set(node.before).union(*(found[each] for each in node.before)))
    return found


@given(nodes=graphs())
@examples(40, 1000)
def test_any_graph_is_planned_in_its_order(nodes: list[Node]) -> None:
    plain = [Node(after=node.after, reads=node.reads, kind="plain") for node in nodes]
    plan = flow_of(plain).plan()
    is_sound_plan(plan)
    assert plan.number == len(nodes)
    assert ancestors(plan) == dict(enumerate(all_before(nodes)))


@given(nodes=graphs(), data=st.data())
@examples(40, 1000)
def test_any_way_back_is_a_cycle(nodes: list[Node], data: st.DataObject) -> None:
    before = all_before(nodes)
    pairs = [(one, other) for other, those in enumerate(before) for one in sorted(those)]
    assume(pairs)
    one, other = data.draw(st.sampled_from(pairs))
    flow = Workflow("back")
    for index, node in enumerate(nodes):
        back = [f"n{other}"] if index == one else []
        flow.add(part_of(index, node), after=[*(f"n{each}" for each in sorted(node.after)), *back])
    with pytest.raises(InvalidWorkflow, match="has a cycle: "):
        flow.plan()


@pytest.mark.django_db
@given(nodes=graphs())
@examples(8, 200)
def test_any_graph_is_run_in_its_order_each_step_once_and_comes_to_what_it_says(
    at_once: None, nodes: list[Node]
) -> None:
    ran.clear()
    run = flow_of(nodes).start()
    assert run.status is ChainStatus.COMPLETED
    results = results_of(nodes)
    assert {name: value for name, value in run.results().items() if name[0] == "n"} == {
        f"n{index}": value for index, value in enumerate(results)
    }
    followed = frozenset[int]().union(*(node.after for node in nodes))
    last = [value for index, value in enumerate(results) if index not in followed]
    assert run.return_value == (last[0] if len(last) == 1 else last)
    done, total = run.progress()
    assert done == total == run.step_count
    is_sound(run)
    _was_in_order(nodes)


def _was_in_order(nodes: list[Node]) -> None:
    """Fail unless each part began and ended once, and began after all that it comes after had ended."""
    events = [each for each in ran if isinstance(each, tuple) and each[0] in ("begin", "end", "both")]
    assert set(Counter(events).values()) <= {1}
    began = {number: place for place, (what, number) in enumerate(events) if what != "end"}
    ended = {number: place for place, (what, number) in enumerate(events) if what != "begin"}
    assert set(began) == set(ended) == set(range(len(nodes)))
    for index, node in enumerate(nodes):
        assert all(ended[each] < began[index] for each in node.before)


@pytest.fixture
def at_once(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend", "QUEUES": []}}
