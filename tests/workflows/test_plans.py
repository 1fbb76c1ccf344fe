"""From what an author wrote to a flat graph, without a database."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from reinhardt_tasks import (
    InvalidWorkflow,
    SerializationFailed,
    TaskChain,
    TaskChainBuilder,
    Workflow,
    failure,
    group,
    item,
    previous_result,
    result_of,
    step,
)
from reinhardt_tasks.workflows.ids import job_id
from reinhardt_tasks.workflows.placeholders import places_in, put, without_placeholders
from reinhardt_tasks.workflows.plans import Plan
from reinhardt_tasks.workflows.positions import FAN_IN, MOST_STEPS, ROOM
from reinhardt_tasks.workflows.sources import Found, positions_of, value_of
from reinhardt_tasks.workflows.steps import Step

from .tasks import add, keep, say, total


def edges(plan: Plan) -> set[tuple[int, int]]:
    return {(each.position, follower) for each in plan.steps for follower in each.followers}


def is_sound(plan: Plan) -> None:
    """Fail unless positions are topological, needs are counted right, and one gate at the end is after everything."""
    assert [each.position for each in plan.steps] == list(range(len(plan.steps)))
    assert all(one < other for one, other in edges(plan))
    needed = Counter(other for _, other in edges(plan))
    assert all(each.needs == needed[each.position] for each in plan.steps)
    assert [each.position for each in plan.steps if not each.followers] == [len(plan.steps) - 1]
    assert plan.steps[-1].step is None


def ancestors(plan: Plan) -> dict[str, set[str]]:
    """Return which steps, by their first argument, end before each step begins."""
    label = {each.position: each.step.args[0] if each.step else None for each in plan.steps}
    before: dict[int, set[int]] = {each.position: set() for each in plan.steps}
    for each in plan.steps:
        for follower in each.followers:
            before[follower] |= before[each.position] | {each.position}
    return {
        label[position]: {label[other] for other in others if label[other] is not None}
        for position, others in before.items()
        if label[position] is not None
    }


def test_a_chain_is_a_line() -> None:
    plan = TaskChain("three", [step(say, "a"), step(say, "b"), step(say, "c")]).plan()
    is_sound(plan)
    assert plan.number == 3
    assert edges(plan) == {(0, 1), (1, 2), (2, 3)}
    assert plan.output == 2


def test_two_groups_in_a_row_meet_at_a_gate() -> None:
    many = [step(say, f"a{number}") for number in range(50)]
    more = [step(say, f"b{number}") for number in range(50)]
    plan = TaskChain("groups", [group(many), group(more)]).plan()
    is_sound(plan)
    assert len(edges(plan)) == 50 + 50 + 50 + 1
    assert all(ancestors(plan)[f"b{number}"] == {f"a{number}" for number in range(50)} for number in range(50))


def test_many_members_meet_in_two_stages_and_neighbours_at_different_gates() -> None:
    plan = group(step(say, number) for number in range(FAN_IN * 10)).then(total, previous_result).plan()
    is_sound(plan)
    assert max(each.needs for each in plan.steps) <= FAN_IN
    first, second = plan.steps[0].followers, plan.steps[1].followers
    assert first != second
    assert plan.number == FAN_IN * 10 + 1


def test_ten_thousand_steps_are_planned_and_one_more_is_refused() -> None:
    plan = group(step(say, number) for number in range(9_999)).then(total, previous_result).plan()
    is_sound(plan)
    places = plan.steps[-2].places
    assert len(str(places)) < 200, "the places of a large group are written shortly"
    with pytest.raises(InvalidWorkflow, match="10,001 steps; 10,000 are the most"):
        group(step(say, number) for number in range(10_001)).plan()


def test_a_long_line_of_after_is_no_trouble() -> None:
    flow = Workflow("line")
    last = flow.add(step(say, 0))
    for number in range(1, 3000):
        last = flow.add(step(say, number), after=[last])
    is_sound(flow.plan())


def test_a_step_for_each_keeps_room_for_its_members_and_is_left_by_a_gate() -> None:
    chain = TaskChain(
        "each", [step(say, "scan"), step(add, item, 1).for_each(previous_result), step(total, previous_result)]
    )
    plan = chain.plan()
    assert plan.number == 3
    scan, each, gate, last, end = plan.steps
    assert (each.over, each.places) == (scan.position, [([0, 0], "item")])
    assert gate.position - each.position == ROOM + 1
    assert edges(plan) == {(scan.position, each.position), (each.position, gate.position)} | {
        (gate.position, last.position),
        (last.position, end.position),
    }
    assert last.places == [([0, 0], {"each": each.position})]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (step(say, item), "`item` in step 'say' .*: only a step with .for_each"),
        (
            step(say, 1).for_each(previous_result),
            "for each item of <the previous result>, and none of its arguments is",
        ),
        (
            step(say, item).for_each(previous_result).on_failure(step(say, 1)),
            "has a handler of failures: that cannot be",
        ),
        (step(say, 1).on_failure(step(say, item).for_each(previous_result)), "handles a failure: that cannot be"),
        (step(say, item).for_each(result_of("scam")), "did you mean 'scan'"),
    ],
)
def test_a_step_for_each_that_cannot_be_is_refused(made: Step, words: str) -> None:
    with pytest.raises(InvalidWorkflow, match=words):
        TaskChain("x", [step(say, "scan").named("scan"), made]).plan()


def test_what_is_known_already_is_no_step_for_each() -> None:
    with pytest.raises(TypeError, match="For what is known already, write a group"):
        step(say, item).for_each([1, 2])  # type: ignore[arg-type]


def test_the_last_position_that_there_can_be_has_an_id_of_its_own() -> None:
    flow, last = "0199a7f0-1234-7abc-8def-0123456789ab", MOST_STEPS * (ROOM + 1) + MOST_STEPS
    ids = [job_id(flow, position) for position in (last - 1, last, last + 1)]
    assert ids == sorted(set(ids)) and all(each[:18] == flow[:18] and each[19] in "89ab" for each in ids)


def test_a_part_is_named_for_order_and_for_results() -> None:
    flow = Workflow("census")
    flow.add(step(say, "scan").named("scan"))
    flow.add(group(step(say, "a"), step(say, "b"), name="files"), after="scan")
    flow.add(step(keep, "merge", also=result_of("files")).named("merge"))
    flow.add(step(say, "aside"))
    plan = flow.plan()
    is_sound(plan)
    found = ancestors(plan)
    assert found["merge"] == {"scan", "a", "b"}
    assert found["aside"] == set()
    assert plan.names["scan"] in positions_of(plan.names["scan"])


def test_the_previous_result_reaches_the_members_of_a_group() -> None:
    plan = TaskChain(
        "fan", [step(say, "a"), group(step(add, previous_result, 1), step(add, previous_result, 2))]
    ).plan()
    assert [each.places for each in plan.steps[1:3]] == [[([0, 0], 0)], [([0, 0], 0)]]


def test_a_cycle_is_named() -> None:
    flow = Workflow("ring")
    flow.add(step(say, 1).named("a"), after=["c"])
    flow.add(step(say, 2).named("b"), after=["a"])
    flow.add(step(say, 3).named("c"), after=["b"])
    with pytest.raises(InvalidWorkflow, match="'ring' has a cycle: .* → .* → .*No step of it could ever begin"):
        flow.plan()


def test_a_cycle_through_results_is_found_too() -> None:
    flow = Workflow("ring")
    flow.add(step(keep, result_of("b")).named("a"))
    flow.add(step(keep, result_of("a")).named("b"))
    with pytest.raises(InvalidWorkflow, match="cycle: [ab] → [ab] → [ab]"):
        flow.plan()
    with pytest.raises(InvalidWorkflow, match="cycle: self → self"):
        TaskChain("own", [step(keep, result_of("self")).named("self")]).plan()


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (TaskChain("x", [step(say, 1).named("scan"), step(say, result_of("scam"))]), "did you mean 'scan'"),
        (TaskChain("x", [step(say, previous_result)]), "`previous_result` in step 'say'.* nothing, or more"),
        (TaskChain("x", [step(say, 1), step(say, failure)]), "only a handler"),
        (
            TaskChain("x", [step(say, 1).named("a"), step(say, 2).named("a"), step(say, result_of("a"))]),
            "several parts have that name",
        ),
    ],
)
def test_a_placeholder_that_leads_nowhere_is_refused(chain: TaskChain, words: str) -> None:
    with pytest.raises(InvalidWorkflow, match=words):
        chain.plan()


def test_a_wrong_after_is_refused() -> None:
    flow = Workflow("x")
    flow.add(step(say, 1).named("scan"))
    flow.add(step(say, 2), after=["scam"])
    with pytest.raises(InvalidWorkflow, match="comes after 'scam', which is no part.*did you mean 'scan'"):
        flow.plan()


def test_what_cannot_be_called_or_stored_is_refused_when_it_is_built() -> None:
    with pytest.raises(TypeError, match="cannot be called"):
        step(say)
    with pytest.raises(SerializationFailed, match="a set"):
        TaskChainBuilder("x").add_task(say, {1}).build()
    with pytest.raises(TypeError, match="takes a task"):
        step(len, "x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="made of tasks, steps"):
        TaskChain("x", ["say"])
    with pytest.raises(ValueError, match='"stop", "continue" or a step'):
        step(say, 1).on_failure("continue!")


def test_a_workflow_that_contains_itself_is_refused() -> None:
    chain = TaskChain("x", [step(say, 1)])
    chain.add_task(chain)
    with pytest.raises(InvalidWorkflow, match="contains itself"):
        chain.plan()


def test_empty_parts_lie_in_nobodys_way() -> None:
    plan = TaskChain("x", [group(), step(keep, previous_result), TaskChain("none"), step(say, "b")]).plan()
    is_sound(plan)
    assert plan.number == 2
    assert plan.steps[0].needs == 0
    assert plan.steps[0].places == [([0, 0], {"list": []})]
    assert TaskChain("none").plan().number == 0


def test_random_nests_are_sound(rng: random.Random) -> None:
    def part(depth: int) -> object:
        kind = rng.choice(["step", "chain", "group", "graph"]) if depth else "step"
        some = [part(depth - 1) for _ in range(rng.randrange(5))] if kind != "step" else []
        match kind:
            case "chain":
                return TaskChain("c", some)
            case "group":
                return group(some)
            case "graph":
                flow = Workflow("g")
                for index, each in enumerate(some):
                    flow.add(each, after=rng.sample(some[:index], min(index, rng.randrange(3))))
                return flow
            case _:
                made = step(say, rng.random())
                return made.on_failure(step(say, rng.random())) if rng.random() < 0.2 else made

    for _ in range(100):
        is_sound(TaskChain("root", [part(3), part(3)]).plan())


def test_places_are_found_and_filled_at_any_depth() -> None:
    args, kwargs = [1, {"a": [result_of("x"), previous_result]}], {"k": result_of("y")}
    places = places_in(args, kwargs)
    assert [path for path, _ in places] == [(0, 1, "a", 0), (0, 1, "a", 1), (1, "k")]
    call = without_placeholders([args, kwargs])
    assert call[0][1]["a"] == ["<the result of 'x'>", "<the previous result>"]
    for number, (path, _) in enumerate(places):
        put(call, path, number)
    assert call == [[1, {"a": [0, 1]}], {"k": 2}]


def test_values_of_lists_and_alternatives() -> None:
    found = {
        0: Found("a", "SUCCESS", "1", None, "null"),
        1: Found("b", "FAILURE", None, '{"exception": "E", "message": "m"}', "7"),
        2: Found("c", "SUCCESS", "3", None, "null"),
        3: Found("d", "WAITING", None, None, "null"),
    }
    assert value_of({"runs": [[0, 3, 1]]}, found) == [1, 7, 3]
    assert value_of({"list": [0, {"list": [2]}]}, found) == [1, [3]]
    assert value_of({"either": [1, 2]}, found) == 3
    assert value_of({"either": [0, 3]}, found) == 1
    assert value_of({"failure": 1}, found) == {"step": "b", "exception": "E", "message": "m"}
    with pytest.raises(LookupError, match="Step d has no result: it is WAITING"):
        value_of(3, found)


def test_a_steps_job_ids_follow_from_its_workflow_and_sort_by_position() -> None:
    flow = "0199a7f0-1234-7abc-8def-0123456789ab"
    ids = [job_id(flow, position) for position in range(10_500)]
    assert ids == sorted(ids) == [job_id(flow, position) for position in range(10_500)]
    assert len({*ids, *(job_id(flow, position, 1) for position in range(10_500))}) == 21_000
    assert ids[0][14] == "7" and ids[0][19] in "89ab" and ids[0][:18] == flow[:18]
    assert job_id("0199a7f0-1234-7abc-8def-0123456789ac", 0) != ids[0]
