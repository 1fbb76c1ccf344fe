"""What becomes of a transaction. No callback is added to learn that: tests count these (`captureOnCommitCallbacks()`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..brokers.database.session import open_blocks


class Commit:
    """Knows what became of the transaction that was open on a connection when this was made."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._blocks = open_blocks(connection)
        depth = connection.atomic_blocks.index(self._blocks[0])
        outermost = connection.savepoint_ids[depth - 1] if depth else None
        #: The numbers of the savepoints that may take it back: from that of the outermost block that is no TestCase's on.
        self.savepoints = range(_number(outermost), connection.savepoint_state + 1)
        self.is_rolled_back = False
        _Watch.over(connection).commits.append(self)

    @property
    def is_open(self) -> bool:
        still = [id(block) for block in self._connection.atomic_blocks]
        return not self.is_rolled_back and any(id(block) in still for block in self._blocks)


class _Watch:
    """Stands before the methods that end a connection's transactions, until nobody has to know of them any more."""

    def __init__(self, connection: Any) -> None:
        self.commits: list[Commit] = []
        self._connection = connection
        connection._reinhardt_watch = self
        self._stand_before("commit", lambda: self._leave(lambda commit: True))
        self._stand_before("rollback", lambda: self._roll_back(lambda commit: True))
        self._stand_before("close", self._closed)
        self._stand_before("savepoint_rollback", self._rolled_back_to)

    @classmethod
    def over(cls, connection: Any) -> _Watch:
        return getattr(connection, "_reinhardt_watch", None) or cls(connection)

    def _stand_before(self, name: str, then: Callable[..., None]) -> None:
        method = getattr(self._connection, name)

        def do(*args: Any) -> None:
            method(*args)
            then(*args)

        setattr(self._connection, name, do)

    def _closed(self) -> None:
        # SQLite's databases in memory are not closed.
        if self._connection.connection is None or self._connection.closed_in_transaction:
            self._roll_back(lambda commit: True)

    def _rolled_back_to(self, sid: str) -> None:
        self._roll_back(lambda commit: _number(sid) in commit.savepoints)

    def _roll_back(self, is_in: Callable[[Commit], bool]) -> None:
        for commit in filter(is_in, self.commits):
            commit.is_rolled_back = True
        self._leave(is_in)

    def _leave(self, is_in: Callable[[Commit], bool]) -> None:
        """Look no more after those that are told what became of them."""
        self.commits = [commit for commit in self.commits if not is_in(commit)]
        if not self.commits:
            for name in ("_reinhardt_watch", "commit", "rollback", "close", "savepoint_rollback"):
                vars(self._connection).pop(name, None)


def _number(sid: str | None) -> int:
    """Return which savepoint of its connection this is: Django counts them in their names."""
    return int(sid.rpartition("_x")[2]) if sid else 0
