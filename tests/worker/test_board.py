"""What a process writes down of the tasks that it runs, others can read, also when it is dead."""

from __future__ import annotations

import os
import signal

import pytest

from reinhardt_tasks.jobs import new_id
from reinhardt_tasks.worker.board import Board


def test_what_was_put_is_there_until_it_is_cleared() -> None:
    board = Board(3)
    ids = [new_id() for _ in range(3)]
    for id_ in ids:
        board.put(id_)
    assert board.ids() == set(ids)
    board.clear(ids[1])
    assert board.ids() == {ids[0], ids[2]}
    board.close()


def test_places_are_used_again() -> None:
    board = Board(2)
    kept = new_id()
    board.put(kept)
    for _ in range(50):
        id_ = new_id()
        board.put(id_)
        assert board.ids() == {kept, id_}
        board.clear(id_)
    assert board.ids() == {kept}


def test_what_never_began_may_be_cleared() -> None:
    board = Board(1)
    board.clear(new_id())
    assert board.ids() == set()


def test_ids_of_other_widths_are_kept_as_they_are() -> None:
    board = Board(2)
    board.put("short")
    assert board.ids() == {"short"}


def test_a_job_that_runs_twice_here_leaves_nothing_when_both_runs_have_ended() -> None:
    # Its lease was lost while the process was suspended, and the same process claimed it again.
    board = Board(2)
    id_ = new_id()
    board.put(id_)
    board.put(id_)
    board.clear(id_)
    board.clear(id_)
    assert board.ids() == set()
    board.put(new_id())
    board.put(new_id())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_it_is_read_after_the_writer_was_killed() -> None:
    board = Board(2)
    kept, cleared = new_id(), new_id()
    pid = os.fork()
    if pid == 0:
        board.put(cleared)
        board.put(kept)
        board.clear(cleared)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert board.ids() == {kept}
