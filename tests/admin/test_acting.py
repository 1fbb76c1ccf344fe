"""What is done from the pages: every action on every store, who may, what is asked first, and what history keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.test import Client
from django.utils import translation

from reinhardt_tasks.admin import history
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.operations import Query, Store, store_of
from tests.operations import chores
from tests.operations.stores import claim, fail, status_of, succeed, worker

from .conftest import ALL
from .pages import read, url

LATER = timedelta(hours=1)
#: Button → the permission that it takes.
TAKES = {
    "retry": "retry_jobrow",
    "run-now": "run_now_jobrow",
    "change": "change_jobrow",
    "cancel": "cancel_jobrow",
    "discard": "delete_jobrow",
}


def target(store: Store, deed: str) -> str:
    """Return the id of a task to which something can be done."""
    if deed == "run-now":
        return chores.add.using(run_after=LATER).enqueue(1).id
    id_ = chores.add.enqueue(1).id
    return fail(store) if deed == "retry" else id_


def ordered(deed: str, *ids: str, **more: Any) -> dict[str, Any]:
    return {"deed": deed, "backend": "default", "ids": ids, **more}


def sent_by(response: Any) -> dict[str, str]:
    """Return what a page's form sends without anything being entered."""
    inputs = read(response).inputs
    return {each["name"] or "": each["value"] or "" for each in inputs if each.get("type") == "hidden"}


def is_untouched(store: Store, id_: str, deed: str) -> bool:
    (job,) = store.broker.get([id_]).values()
    before = {"retry": TaskStatus.FAILURE, "run-now": TaskStatus.SCHEDULED}.get(deed, TaskStatus.PENDING)
    return job.status is before and job.priority == 0


DONE: dict[str, Callable[[Store, str], bool]] = {
    "retry": lambda store, id_: status_of(store, id_) is TaskStatus.PENDING,
    "run-now": lambda store, id_: status_of(store, id_) is TaskStatus.PENDING,
    "change": lambda store, id_: store.broker.get([id_])[id_].priority == 50,
    "cancel": lambda store, id_: status_of(store, id_) is TaskStatus.CANCELLED,
    "discard": lambda store, id_: store.broker.get([id_]) == {},
}


@pytest.mark.parametrize("deed", TAKES)
def test_whoever_may_does_it_and_history_tells(store: Store, someone: Callable[..., Client], deed: str) -> None:
    client = someone("view_jobrow", TAKES[deed])
    id_ = target(store, deed)
    # Whoever may retry a task may run it again as a new one.
    more = ["run-again"] if deed == "retry" else []
    assert read(client.get(url("jobrow_change", id_))).buttons == [deed, *more]
    order = ordered(deed, id_)
    if deed in ("change", "cancel", "discard"):
        page = read(client.post(url("jobrow_act"), order))
        assert is_untouched(store, id_, deed) and page.complaints == [] and id_ in page.text
        order |= {"confirmed": "1", "to-priority": "50"}
    response = client.post(url("jobrow_act"), order, follow=True)
    assert "Done for 1 task." in read(response).text
    assert DONE[deed](store, id_)
    (entry,) = LogEntry.objects.all()
    assert entry.object_id == id_ and entry.user == response.context["user"] and "chores.add" in entry.object_repr
    assert entry.action_flag == DELETION if deed == "discard" else url("jobrow_change", id_) == entry.get_admin_url()


@pytest.mark.parametrize("deed", TAKES)
def test_whoever_may_not_does_not(store: Store, someone: Callable[..., Client], deed: str) -> None:
    """Neither with all other permissions, nor by a forged form, nor on all that match, nor without `view`."""
    id_ = target(store, deed)
    order = ordered(deed, id_, confirmed="1", **{"to-priority": "50"})
    others = [name for name in ALL if name != TAKES[deed]]
    for client in (someone(*others), someone("view_jobrow"), someone(TAKES[deed]), Client()):
        for changes in ({}, {"all": "1"}, {"confirmed": ""}):
            assert client.post(url("jobrow_act"), order | changes).status_code in (302, 403)
    assert is_untouched(store, id_, deed) and not LogEntry.objects.exists()
    assert deed not in read(someone(*others).get(url("jobrow_change", id_))).buttons
    assert deed not in read(someone(*others).get(url("jobrow_tasks"))).buttons


@pytest.mark.parametrize("deed", TAKES)
def test_an_action_needs_a_post_with_a_token(store: Store, chief: Client, deed: str) -> None:
    id_ = target(store, deed)
    order = ordered(deed, id_, confirmed="1", **{"to-priority": "50"})
    assert chief.get(url("jobrow_act"), order).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = chief.cookies
    for place in ("jobrow_act", "jobrow_queues_act", "jobrow_failures_act"):
        assert strict.post(url(place), order).status_code == 403
    assert is_untouched(store, id_, deed)


def test_a_running_task_is_told_to_stop(store: Store, chief: Client) -> None:
    chores.add.enqueue(1)
    id_ = claim(store).job.id
    chief.post(url("jobrow_act"), ordered("cancel", id_, confirmed="1", origin=id_))
    assert store.broker.get([id_])[id_].cancel_requested
    assert "cancellation requested" in read(chief.get(url("jobrow_change", id_))).text


def test_a_task_that_is_in_no_state_for_it_is_left_and_told_why(store: Store, chief: Client) -> None:
    good, bad = target(store, "retry"), chores.add.enqueue(2).id
    text = read(chief.post(url("jobrow_act"), ordered("retry", good, bad), follow=True)).text
    assert "Done for 1 task." in text and f"Not done for 1 task; for {bad}: It is PENDING." in text


def test_a_change_that_cannot_be_is_refused_in_the_form(store: Store, chief: Client) -> None:
    id_ = target(store, "change")
    for values, words in (
        ({"to-priority": "500"}, "less than or equal to 100"),
        ({"to-queue": "nowhere"}, "not one of the available choices"),
        ({}, "Say what is to be changed"),
    ):
        page = read(chief.post(url("jobrow_act"), ordered("change", id_, confirmed="1", **values)))
        assert words in page.text
    assert is_untouched(store, id_, "change")
    chief.post(url("jobrow_act"), ordered("change", id_, confirmed="1", **{"to-queue": "reports"}))
    assert store.broker.get([id_])[id_].queue == "reports"


def test_a_queue_that_the_settings_do_not_name_is_no_choice(sqlite_store: Store, chief: Client, settings: Any) -> None:
    chores.add.using(queue_name="reports").enqueue(1)
    id_ = target(sqlite_store, "change")
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["default", "emails"]}}
    page = read(chief.post(url("jobrow_act"), ordered("change", id_, confirmed="1", **{"to-queue": "reports"})))
    assert "not one of the available choices" in page.text and is_untouched(sqlite_store, id_, "change")


def test_nothing_selected_is_told_and_an_unknown_action_refused(store: Store, chief: Client) -> None:
    assert "Select tasks first" in read(chief.post(url("jobrow_act"), ordered("retry"), follow=True)).text
    response = chief.post(url("jobrow_act"), ordered("retrie", "x"))
    assert response.status_code == 400 and "did you mean &#x27;retry&#x27;" in response.content.decode()
    assert chief.post(url("jobrow_act"), {"deed": "retry", "backend": "defualt"}).status_code == 400


# All that match


def test_all_that_match_are_done_and_no_other(store: Store, chief: Client) -> None:
    for number in range(7):
        chores.add.enqueue(number)
        chores.log_in.enqueue("a", "b-secret")
    order = {"deed": "cancel", "backend": "default", "all": "1", "filters": "state=pending&queue=default"}
    page = read(chief.post(url("jobrow_act"), order))
    assert "Cancel these tasks?" in page.text and "Tasks 7" in page.text and "Queue default" in page.text
    text = read(chief.post(url("jobrow_act"), order | {"confirmed": "1"}, follow=True)).text
    assert "Done for 7 tasks." in text
    counts = {each.queue: each.counts.get(TaskStatus.PENDING, 0) for each in store.broker.counts()}
    assert (counts.get("default", 0), counts["emails"]) == (0, 7)
    assert LogEntry.objects.count() == 7


def test_history_says_of_all_that_match_which_they_were_and_how_they_were_chosen(store: Store, chief: Client) -> None:
    ids = {chores.add.using(queue_name="emails").enqueue(number).id for number in (1, 2)}
    filters = "backend=default&queue=emails&state=pending"
    chief.post(url("jobrow_act"), ordered("cancel", confirmed="1", all="1", filters=filters))
    assert {entry.object_id for entry in LogEntry.objects.all()} == ids
    assert all(chores.add.module_path in entry.object_repr for entry in LogEntry.objects.all())
    text = read(chief.get(url("jobrow_change", min(ids)))).text
    assert "Cancelled. (All that match; State: pending; Queue: emails)" in text
    chief.post(url("jobrow_act"), ordered("retry", min(ids)))
    chief.post(url("jobrow_act"), ordered("change", min(ids), confirmed="1", **{"to-priority": "7"}))
    assert "Changed. (New priority: 7)" in read(chief.get(url("jobrow_change", min(ids)))).text
    with translation.override("ja"):
        text = read(chief.get(url("jobrow_change", min(ids)))).text
    assert "状態: pending; キュー: emails)" in text and "State:" not in text


def test_history_keeps_no_words_that_were_looked_for_in_arguments(store: Store, chief: Client) -> None:
    chores.add.enqueue(4711)
    chief.post(url("jobrow_act"), ordered("cancel", confirmed="1", all="1", filters="backend=default&text=4711"))
    (entry,) = LogEntry.objects.all()
    assert "In the arguments\t…" in entry.change_message and "4711" not in entry.change_message


def test_the_question_names_the_task_that_a_part_of_a_name_was_taken_for(store: Store, chief: Client) -> None:
    chores.log_in_by_token.enqueue("ada", "secret")
    order = {"deed": "cancel", "backend": "default", "all": "1", "filters": "q=by_token"}
    name = chores.log_in_by_token.module_path
    assert f"Id or name {name}" in read(chief.post(url("jobrow_act"), order)).text
    chief.post(url("jobrow_act"), order | {"confirmed": "1"})
    assert LogEntry.objects.get().change_message.endswith(f"Id or name\t{name}")


def test_a_name_that_is_a_part_of_anothers_does_nothing_to_that_ones_tasks(store: Store, chief: Client) -> None:
    id_ = chores.whisper.enqueue("x").id
    order = {"deed": "discard", "backend": "default", "all": "1", "filters": "q=tests.operations.chores.whi"}
    assert chief.post(url("jobrow_act"), order | {"confirmed": "1"}).status_code == 400
    assert is_untouched(store, id_, "discard")


def test_all_that_match_are_always_asked_about(store: Store, chief: Client) -> None:
    id_ = target(store, "retry")
    order = {"deed": "retry", "backend": "default", "all": "1", "filters": "state=failure"}
    assert "Retry these tasks?" in read(chief.post(url("jobrow_act"), order)).text
    assert is_untouched(store, id_, "retry")


def test_what_is_more_than_one_request_may_do_goes_on_by_another_press(
    store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reinhardt_tasks.admin.budgets.MOST", 4)
    monkeypatch.setattr("reinhardt_tasks.operations.actions.BATCH", 2)
    ids = [chores.add.enqueue(number).id for number in range(11)]
    order = {"deed": "change", "backend": "default", "all": "1", "filters": "", "confirmed": "1", "to-priority": "50"}
    pressed = []
    while len(pressed) < 9:
        response = chief.post(url("jobrow_act"), order)
        pressed.append(response.status_code)
        if response.status_code == 302:
            break
        page, done = read(response), 4 * len(pressed)
        assert f"{done} are done, and there are more. Press the button to go on." in page.text
        further = response.context["further"]
        assert (further.done, further.whole) == (done, 11)
        order |= {"after": response.context["after"], "so_far": str(further.done)}
        assert str(response.context["count"]) == str(11 - done)
        meanwhile = chores.add.enqueue(-1).id
    assert pressed == [200, 200, 302]
    assert "Done for 11 tasks." in read(chief.get(response["Location"])).text
    assert {job.priority for job in store.broker.get(ids).values()} == {50}
    assert is_untouched(store, meanwhile, "change") and LogEntry.objects.count() == 11


def test_what_is_enqueued_between_question_and_press_is_left_alone(store: Store, chief: Client) -> None:
    for number in range(3):
        chores.add.enqueue(number)
    order = {"deed": "discard", "backend": "default", "all": "1", "filters": "state=pending"}
    response = chief.post(url("jobrow_act"), order)
    assert "Tasks 3 " in read(response).text
    late = [chores.add.enqueue(number).id for number in range(5)]
    text = read(chief.post(url("jobrow_act"), sent_by(response), follow=True)).text
    assert "Done for 3 tasks." in text and sorted(job.id for job in store.broker.find(Query())) == late


def test_what_is_enqueued_before_a_refused_press_is_mended_is_left_alone(store: Store, chief: Client) -> None:
    first = chores.add.enqueue(1).id
    response = chief.post(url("jobrow_act"), {"deed": "change", "backend": "default", "all": "1"})
    late = chores.add.enqueue(2).id
    response = chief.post(url("jobrow_act"), sent_by(response) | {"to-priority": "500"})
    assert "Tasks 1 " in read(response).text
    chief.post(url("jobrow_act"), sent_by(response) | {"to-priority": "50"})
    assert store.broker.get([first])[first].priority == 50 and is_untouched(store, late, "change")


def test_the_last_minutes_are_those_before_the_question(
    store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    chores.add.enqueue(1)
    order = {"deed": "cancel", "backend": "default", "all": "1", "filters": "state=pending&period=15m"}
    response = chief.post(url("jobrow_act"), order)
    assert "Tasks 1 " in read(response).text
    later = datetime.now(UTC) + timedelta(minutes=16)
    monkeypatch.setattr("django.utils.timezone.now", lambda: later)
    assert "Done for 1 task." in read(chief.post(url("jobrow_act"), sent_by(response), follow=True)).text
    for odd in ("soon", "nan", "-1e300"):
        assert chief.post(url("jobrow_act"), order | {"asked_at": odd}).status_code == 404


def test_the_question_names_the_states_that_it_is_for(store: Store, chief: Client) -> None:
    chores.add.enqueue(1)
    fail(store)
    page = read(chief.post(url("jobrow_act"), {"deed": "retry", "backend": "default", "all": "1"}))
    assert "Tasks 1 State Failed Cancelled Filters none" in page.text


def test_only_those_that_are_in_a_state_for_it_are_counted_up_to_a_bound(
    store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        chores.add.enqueue(number)
    claim(store)
    order = {"deed": "discard", "backend": "default", "all": "1", "filters": ""}
    assert "Tasks 3 " in read(chief.post(url("jobrow_act"), order)).text
    monkeypatch.setattr("reinhardt_tasks.operations.counting.COUNTED", 2)
    assert "Tasks 2+ " in read(chief.post(url("jobrow_act"), order)).text


def test_filters_that_are_none_do_nothing(store: Store, chief: Client) -> None:
    id_ = target(store, "cancel")
    order = {"deed": "cancel", "backend": "default", "all": "1", "filters": "since=nonsense", "confirmed": "1"}
    assert chief.post(url("jobrow_act"), order).status_code == 400
    assert is_untouched(store, id_, "cancel")


def test_a_filter_over_arguments_is_no_way_around_the_permission(store: Store, someone: Callable[..., Client]) -> None:
    id_ = chores.add.enqueue(20_261_126).id
    client = someone("view_jobrow", "cancel_jobrow")
    order = {"deed": "cancel", "backend": "default", "all": "1", "filters": "text=nowhere", "confirmed": "1"}
    for changes in ({}, {"confirmed": ""}):
        assert client.post(url("jobrow_act"), order | changes).status_code == 403
    assert is_untouched(store, id_, "cancel")


# A finished one once more, and other arguments


def cancelled(store: Store) -> str:
    (job,) = store.broker.find(Query())
    return store.broker.cancel([job.id])[0]


@pytest.mark.parametrize("end", [succeed, fail, cancelled])
def test_a_finished_task_is_run_again(
    store: Store, someone: Callable[..., Client], end: Callable[[Store], str]
) -> None:
    waiting = chores.add.enqueue(5).id
    client = someone("view_jobrow", "retry_jobrow")
    assert "run-again" not in read(client.get(url("jobrow_change", waiting))).buttons
    id_ = end(store)
    assert someone("view_jobrow").post(url("jobrow_change", id_)).status_code == 403
    assert "run-again" in read(client.get(url("jobrow_change", id_))).buttons
    response = client.post(url("jobrow_change", id_))
    new = response.headers["Location"].split("/")[-3]
    assert new != id_ and status_of(store, new) is TaskStatus.PENDING
    assert {entry.object_id for entry in LogEntry.objects.all()} == {id_, new}


def test_a_task_is_run_again_by_its_own_backend_where_the_address_names_none(
    sqlite_store: Store, chief: Client, settings: Any
) -> None:
    settings.TASKS = {**settings.TASKS, "other": {**settings.TASKS["default"], "QUEUES": ["special"]}}
    other = store_of("other")
    id_ = chores.add.using(backend="other", queue_name="special").enqueue(1).id
    succeed(other, "special")
    response = chief.post(url("jobrow_change", id_))
    assert response.headers["Location"].endswith("?backend=other")
    new = response.headers["Location"].split("/")[-3]
    assert sqlite_store.broker.find(Query()) == [] and claim(other, "special").job.id == new
    assert chief.get(url("jobrow_change", id_), {"backend": "default"}).status_code == 404
    other.broker.close()


def test_arguments_are_edited_and_checked_against_the_function(store: Store, chief: Client) -> None:
    chores.add.enqueue("x")
    id_ = fail(store)
    place = url("jobrow_edit", id_)
    page = read(chief.get(place))
    assert page.complaints == [] and "add(a: int, b: int = 0)" in page.text.replace("'", "")
    for args, kwargs, words in (
        ("[1", "{}", "has to be a JSON list"),
        ("{}", "{}", "has to be a JSON list"),
        ("[1]", "[]", "has to be a JSON object"),
        ("[1, 2, 3]", "{}", "too many positional arguments"),
        ("[]", '{"c": 1}', "missing a required argument"),
    ):
        assert words in read(chief.post(place, {"args": args, "kwargs": kwargs})).text
    assert status_of(store, id_) is TaskStatus.FAILURE and not LogEntry.objects.exists()
    assert chief.post(place, {"args": "[2]", "kwargs": '{"b": 3}'}).status_code == 302
    job = store.broker.get([id_])[id_]
    assert job.status is TaskStatus.PENDING and "3" in job.payload and LogEntry.objects.count() == 1


def test_a_task_that_ran_while_its_form_was_open_is_not_run_once_more_by_its_button(
    store: Store, chief: Client
) -> None:
    id_ = chores.add.enqueue(1).id
    place, entered = url("jobrow_edit", id_), {"args": "[2]", "kwargs": "{}"}
    shown = sent_by(chief.get(place))
    succeed(store)
    response = chief.post(place, shown | entered)
    page = read(response)
    assert f"Task {id_} was PENDING when its arguments were read, and is SUCCESS now" in page.text
    assert [job.id for job in store.broker.find(Query())] == [id_] and not LogEntry.objects.exists()
    # The page that tells it has the button that says so, and what was entered.
    assert "Enqueue a new task with these" in page.text and "[2]" in page.text
    assert chief.post(place, sent_by(response) | entered).status_code == 302
    assert len(store.broker.find(Query())) == 2


def test_a_redacted_argument_that_is_left_stays_what_it_is(store: Store, chief: Client) -> None:
    id_ = chores.log_in.enqueue("ada", password="geheim-123").id
    place = url("jobrow_edit", id_)
    response = chief.get(place)
    assert "geheim" not in response.content.decode() and "[redacted]" in read(response).text
    chief.post(place, {"args": '["bob"]', "kwargs": '{"password": "[redacted]"}'})
    payload = store.broker.get([id_])[id_].payload
    assert "bob" in payload and "geheim-123" in payload


@pytest.mark.parametrize("lacking", ["edit_jobrow", "view_arguments_jobrow"])
def test_editing_takes_both_of_its_permissions(store: Store, someone: Callable[..., Client], lacking: str) -> None:
    id_ = chores.add.enqueue(1).id
    client = someone(*[name for name in ALL if name != lacking])
    place = url("jobrow_edit", id_)
    assert client.get(place).status_code == 403
    assert client.post(place, {"args": "[9]", "kwargs": "{}"}).status_code == 403
    assert place not in client.get(url("jobrow_change", id_)).content.decode()


# Queues


def test_a_queue_is_paused_resumed_and_cleared(store: Store, chief: Client) -> None:
    chores.log_in.enqueue("a", "b-secret")
    chores.add.enqueue(1)
    order = {"backend": "default", "queue": "emails"}
    text = read(chief.post(url("jobrow_queues_act"), order | {"deed": "pause"}, follow=True)).text
    assert "Queue emails is paused" in text and store.broker.claim(["emails"], 1, worker()) == []
    read(chief.post(url("jobrow_queues_act"), order | {"deed": "resume"}, follow=True))
    page = read(chief.post(url("jobrow_queues_act"), order | {"deed": "clear"}))
    assert "Delete all that waits in queue emails of default?" in page.text and page.complaints == []
    assert sum(sum(each.counts.values()) for each in store.broker.counts()) == 2
    text = read(chief.post(url("jobrow_queues_act"), order | {"deed": "clear", "confirmed": "1"}, follow=True)).text
    assert "1 task was deleted." in text
    assert {each.queue: sum(each.counts.values()) for each in store.broker.counts()}.get("emails", 0) == 0
    text = read(chief.get(url("jobrow_queues"))).text
    assert all(f"user0 · default:emails · {words}" in text for words in ("Paused.", "Resumed.", "Cleared. (Tasks: 1)"))
    words = list(LogEntry.objects.order_by("pk").values_list("change_message", "object_repr"))
    assert words == [
        ("Paused.", "default:emails"),
        ("Resumed.", "default:emails"),
        ("Cleared.\nTasks\t1", "default:emails"),
    ]


def test_what_comes_into_a_queue_before_it_is_cleared_is_left_alone(store: Store, chief: Client) -> None:
    chores.add.enqueue(1)
    response = chief.post(url("jobrow_queues_act"), {"backend": "default", "queue": "default", "deed": "clear"})
    late = chores.add.enqueue(2).id
    text = read(chief.post(url("jobrow_queues_act"), sent_by(response), follow=True)).text
    assert "1 task was deleted." in text and [job.id for job in store.broker.find(Query())] == [late]


@pytest.mark.parametrize(
    ("deed", "takes"),
    [("pause", "pause_queue_jobrow"), ("resume", "pause_queue_jobrow"), ("clear", "clear_queue_jobrow")],
)
def test_whoever_may_not_leaves_queues_alone(
    store: Store, someone: Callable[..., Client], deed: str, takes: str
) -> None:
    id_ = chores.add.enqueue(1).id
    if deed == "resume":
        store.broker.pause("default")
    client = someone(*[name for name in ALL if name != takes])
    order = {"backend": "default", "queue": "default", "deed": deed, "confirmed": "1"}
    assert client.post(url("jobrow_queues_act"), order).status_code == 403
    assert deed not in read(client.get(url("jobrow_queues"))).buttons
    assert bool(store.broker.claim(["default"], 1, worker())) is (deed != "resume") and store.broker.get([id_])


def test_a_bounded_number_of_things_that_people_did_to_queues_is_shown(
    store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "What people did" not in read(chief.get(url("jobrow_queues"))).text
    monkeypatch.setattr(history, "OF_QUEUES", 2)
    for deed in ("pause", "resume", "pause"):
        chief.post(url("jobrow_queues_act"), {"backend": "default", "queue": "emails", "deed": deed})
    page = read(chief.get(url("jobrow_queues")))
    assert page.complaints == [] and page.text.count("· default:emails ·") == 2


def test_a_queue_that_there_is_not_is_refused(store: Store, chief: Client) -> None:
    order = {"backend": "default", "queue": "emial", "deed": "pause"}
    response = chief.post(url("jobrow_queues_act"), order)
    assert response.status_code == 400 and "did you mean &#x27;emails&#x27;" in response.content.decode()


# Groups of failures


@pytest.mark.parametrize(("deed", "takes"), [("retry", "retry_jobrow"), ("discard", "delete_jobrow")])
def test_a_group_is_retried_or_discarded_as_a_whole_and_no_other(
    store: Store, chief: Client, someone: Callable[..., Client], deed: str, takes: str
) -> None:
    ids: dict[str, list[str]] = {"one": [], "other": []}
    for number in range(6):
        chores.add.enqueue(number)
        place = "one" if number % 2 else "other"
        ids[place].append(fail(store, traceback=f'  File "{place}.py", line 9, in y\nValueError: no'))
    order = {
        "deed": deed,
        "backend": "default",
        "name": chores.add.module_path,
        "exception": "builtins.ValueError",
        "place": "one.py:9 in y",
    }
    client = someone(*[name for name in ALL if name != takes])
    assert client.post(url("jobrow_failures_act"), order | {"confirmed": "1"}).status_code == 403
    page = read(chief.post(url("jobrow_failures_act"), order))
    assert page.complaints == [] and "Tasks 3" in page.text
    assert all(is_untouched(store, id_, "retry") for id_ in ids["one"] + ids["other"])
    text = read(chief.post(url("jobrow_failures_act"), order | {"confirmed": "1"}, follow=True)).text
    assert "Done for 3 tasks." in text
    assert all(DONE[deed](store, id_) for id_ in ids["one"])
    assert all(is_untouched(store, id_, "retry") for id_ in ids["other"])
    assert LogEntry.objects.count() == 3


def test_what_fails_between_question_and_press_under_a_newer_id_is_no_part_of_the_group(
    store: Store, chief: Client
) -> None:
    def failed() -> str:
        chores.add.enqueue(1)
        return fail(store, traceback='  File "one.py", line 9, in y\nValueError: no')

    first, group = failed(), {"name": chores.add.module_path, "exception": "builtins.ValueError"}
    order = {"deed": "discard", "backend": "default", **group, "place": "one.py:9 in y"}
    response = chief.post(url("jobrow_failures_act"), order)
    assert "Tasks 1 " in read(response).text
    late = failed()
    text = read(chief.post(url("jobrow_failures_act"), sent_by(response), follow=True)).text
    assert "Done for 1 task." in text and store.broker.get([first]) == {} and is_untouched(store, late, "retry")
