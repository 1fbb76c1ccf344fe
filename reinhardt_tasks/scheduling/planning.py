"""Which slots of a schedule are to be fired now, and which one is next. Pure: times go in, times come out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..exceptions import InvalidSchedule
from ..schedules.declarations import ALL, SKIP, Declaration
from ..schedules.slots import due_at

#: A slot is missed when a scheduler sees it for the first time later than this; `skip` lets pass what is later.
LATE = timedelta(seconds=60)
#: Missed slots that are counted at one time: counting them costs as much as firing them.
COUNTED = 100

_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be done for a schedule now: slots to fire, oldest first, how many are passed over, and what comes next."""

    slots: tuple[datetime, ...] = ()
    missed: int = 0
    next_slot: datetime | None = None
    #: Whether more are due than may be fired at one time.
    is_more: bool = False


def plan(
    declaration: Declaration, slot: datetime, since: datetime, now: datetime, ran_since: datetime | None, limit: int
) -> Plan:
    """Return what is to be done for a schedule whose next slot is `slot`.

    `ran_since` is from when on the caller has looked without a break: of slots that came due since then all are fired, up to
    `limit`. Where it has not, or was not there (None), `catch_up` decides.
    """
    times = _Times(declaration, since)
    if times.due(slot) > now:
        return Plan(next_slot=slot)
    is_on_time = ran_since is not None and times.due(slot) > ran_since
    if is_on_time or declaration.catch_up == ALL:
        return _all(times, slot, now, limit)
    newest = times.newest(slot, now)
    is_fired = declaration.catch_up != SKIP or now - times.due(newest) < LATE
    missed = times.count(slot, newest) + (not is_fired)
    return Plan(slots=(newest,) if is_fired else (), missed=missed, next_slot=times.after(newest))


def slot_after(declaration: Declaration, moment: datetime) -> datetime | None:
    """Return a schedule's first slot after a moment, between its start and its end; None where there is none."""
    if declaration.start is not None:
        moment = max(moment, declaration.start - _MICROSECOND)
    slot = declaration.schedule.next_after(moment)
    if slot is None:
        return None
    if slot.utcoffset() is None or slot <= moment:
        raise InvalidSchedule(
            f"next_after({moment!r}) of {declaration.schedule!r} gave {slot!r}: it must be later, and have a time zone."
        )
    return None if declaration.end is not None and slot > declaration.end else slot


def slots_of(declaration: Declaration, moment: datetime) -> Iterator[datetime]:
    """Yield the slots after a moment, in order."""
    slot = slot_after(declaration, moment)
    while slot is not None:
        yield slot
        slot = slot_after(declaration, slot)


class _Times:
    """The slots of one schedule that count: its next one, and those after `since`."""

    def __init__(self, declaration: Declaration, since: datetime) -> None:
        self._declaration = declaration
        self._since = since

    def after(self, slot: datetime) -> datetime | None:
        return slot_after(self._declaration, max(slot, self._since))

    def due(self, slot: datetime) -> datetime:
        return due_at(self._declaration.name, slot, self._declaration.jitter)

    def newest(self, slot: datetime, now: datetime) -> datetime:
        """Return the newest slot that is due, from `slot` on, which is. Takes some twenty steps, however many there are."""
        slot = self._newest_until(slot, now - self._declaration.jitter)
        while (following := self.after(slot)) is not None and self.due(following) <= now:
            slot = following
        return slot

    def count(self, first: datetime, last: datetime) -> int:
        number, slot = 0, first
        while slot < last and number < COUNTED:
            number += 1
            slot = self.after(slot) or last
        return number

    def _newest_until(self, slot: datetime, until: datetime) -> datetime:
        low, high = max(slot, self._since), until
        if low >= high or not self._has(low, until):
            return slot
        # First back from the end in growing steps, since what is wanted lies near it as a rule.
        step = _SECOND
        while high - step > low and not self._has(high - step, until):
            high -= step
            step *= 2
        low = max(low, high - step)
        while high - low > _SECOND:
            middle = low + (high - low) / 2
            low, high = (middle, high) if self._has(middle, until) else (low, middle)
        while (following := slot_after(self._declaration, low)) is not None and following <= until:
            low = slot = following
        return slot

    def _has(self, moment: datetime, until: datetime) -> bool:
        """Return whether there is a slot after a moment and up to another."""
        slot = slot_after(self._declaration, moment)
        return slot is not None and slot <= until


def _all(times: _Times, slot: datetime, now: datetime, limit: int) -> Plan:
    slots = [slot]
    following = times.after(slot)
    while following is not None and times.due(following) <= now and len(slots) < limit:
        slots.append(following)
        following = times.after(following)
    is_more = following is not None and times.due(following) <= now
    return Plan(slots=tuple(slots), next_slot=following, is_more=is_more)
