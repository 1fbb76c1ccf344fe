"""Tasks with annotations. These are texts here, as in most modules, and are resolved when a task is first called."""

from __future__ import annotations

import enum
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar
from uuid import UUID

from django.contrib.auth.models import AbstractUser, Group, Permission

from reinhardt_tasks import TaskContext, task

from .wrapping import watched

if TYPE_CHECKING:
    from somewhere import Unknown  # type: ignore[import-not-found]

#: What tasks were called with, in this process.
got: list[Any] = []

Reference = NewType("Reference", UUID)
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Odd(enum.Enum):
    PAIR = (1, 2)
    TEXT = "text"


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


@dataclass
class Price:
    amount: Decimal
    currency: str = "EUR"


@dataclass(frozen=True, kw_only=True)
class Order:
    number: UUID
    prices: list[Price]
    due: date | None = None
    inside: Optional[Order] = None  # noqa: UP045 - the older spelling is to work
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Derived:
    one: int
    two: int = field(init=False)

    def __post_init__(self) -> None:
        self.two = 2 * self.one


@dataclass
class Scaled:
    value: int
    factor: InitVar[int]

    def __post_init__(self, factor: int) -> None:
        self.value *= factor


@dataclass(init=False)
class Parsed:
    value: int

    def __init__(self, text: str) -> None:
        self.value = int(text)


@dataclass
class Doubled:
    amount: Decimal

    def __post_init__(self) -> None:
        self.amount *= 2


@dataclass
class Tagged:
    tags: list[str]

    def __post_init__(self) -> None:
        self.tags.append("made")


@dataclass
class Strict:
    value: int | str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str):
            raise ValueError(self.value)
        self.value = int(self.value)


@dataclass
class Clean:
    """Has a `__post_init__` that changes nothing of what it has made."""

    name: str
    due: datetime = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.name = self.name.strip()


class Point(NamedTuple):
    """As `collections.namedtuple` makes them, but with annotations."""

    x: int
    seen: date
    inside: Optional[Point] = None  # noqa: UP045 - the older spelling is to work


class Longer(Point):
    pass


Plain = namedtuple("Plain", "a b")


class Pair(NamedTuple, Generic[T]):
    one: T
    two: T


@dataclass
class Box(Generic[T]):
    one: T
    more: list[T] | None


@dataclass
class Beside(Generic[T]):
    one: T
    other: Box  # type: ignore[type-arg]


@dataclass
class Guarded:
    value: Unknown


@task
def moment(value: datetime) -> None:
    got.append(value)


@task
def day(value: date) -> None:
    got.append(value)


@task
@watched
def watched_day(value: date) -> None:
    got.append(value)


@task
def clock(value: time) -> None:
    got.append(value)


@task
def span(value: timedelta) -> None:
    got.append(value)


@task
def number(value: Decimal) -> None:
    got.append(value)


@task
def key(value: UUID) -> None:
    got.append(value)


@task
def renamed(value: Reference) -> None:
    got.append(value)


@task
def colour(value: Colour) -> None:
    got.append(value)


@task
def level(value: Level) -> None:
    got.append(value)


@task
def odd(value: Odd) -> None:
    got.append(value)


@task
def access(value: Access) -> None:
    got.append(value)


@task
def triple(value: tuple[int, datetime, str]) -> None:
    got.append(value)


@task
def days(value: tuple[date, ...]) -> None:
    got.append(value)


@task
def bare(value: tuple) -> None:  # type: ignore[type-arg]
    got.append(value)


@task
def keys(value: set[UUID]) -> None:
    got.append(value)


@task
def frozen(value: frozenset[str]) -> None:
    got.append(value)


@task
def table(value: dict[UUID, list[Decimal]]) -> None:
    got.append(value)


@task
def counted(value: dict[int, date]) -> None:
    got.append(value)


@task
def sequence(value: Sequence[date]) -> None:
    got.append(value)


@task
def mapping(value: Mapping[str, date]) -> None:
    got.append(value)


@task
def order(value: Order) -> None:
    got.append(value)


@task
def derived(value: Derived) -> None:
    got.append(value)


@task
def scaled(value: Scaled) -> None:
    got.append(value)


@task
def parsed(value: Parsed) -> None:
    got.append(value)


@task
def doubled(value: Doubled) -> None:
    got.append(value)


@task
def tagged(value: Tagged) -> None:
    got.append(value)


@task
def strict(value: Strict) -> None:
    got.append(value)


@task
def clean(value: Clean) -> None:
    got.append(value)


@task
def point(value: Point) -> None:
    got.append(value)


@task
def longer(value: Longer | None) -> None:
    got.append(value)


@task
def plain_pair(value: Plain) -> None:
    got.append(value)


@task
def box(value: Box[date]) -> None:
    got.append(value)


@task
def box_beside(value: Beside[date]) -> None:
    got.append(value)


@task
def called(value: int, told: Callable[[int], None] | None = None) -> None:
    """Nobody can send what the second is for; a task may have it all the same."""
    got.append(value)


@task
def box_of_points(value: Box[Point]) -> None:
    got.append(value)


@task
def loose_box(value: Box) -> None:  # type: ignore[type-arg]
    got.append(value)


@task
def days_pair(value: Pair[date]) -> None:
    got.append(value)


@task
def unknown(value: Unknown) -> None:
    got.append(value)


@task
def guarded(value: Guarded) -> None:
    got.append(value)


@task
def pair(value: Pair[int]) -> None:
    got.append(value)


@task
def maybe(value: datetime | None = None) -> None:
    got.append(value)


@task
def implicit(value: datetime = None) -> None:  # type: ignore[assignment]
    got.append(value)


@task
def either(value: int | UUID | list[date] | None) -> None:
    got.append(value)


@task
def ambiguous(value: str | UUID) -> None:
    got.append(value)


@task
def literally(value: Literal[1, 2] | date) -> None:
    got.append(value)


@task(takes_context=True)
def everything(
    context: TaskContext, first: date, /, second: UUID, *rest: Decimal, third: Colour, **others: timedelta
) -> None:
    got.append((context.attempt, first, second, rest, third, others))


@task
def unresolvable(value: Unknown, when: date) -> None:
    got.append((value, when))


@task
def plain(a: int, b: str | None = None, *c: list[int], d: dict[str, Any] | None = None, e: Any = 1, **f: float) -> None:
    got.append((a, b, c, d, e, f))


@task
def untyped(a, b=None):  # type: ignore[no-untyped-def]
    got.append((a, b))


@task
def group(value: Group) -> None:
    got.append(value)


@task
async def agroup(value: Group, at: datetime) -> None:
    got.append((value, at))


@task
def groups(value: list[Group] | None = None) -> None:
    got.append(value)


@task
def permission(value: Permission) -> None:
    got.append(value)


@task
def user(value: AbstractUser) -> None:
    got.append(value)


@task(on_missing="skip")
def group_or_nothing(value: Group) -> str:
    got.append(value)
    return "ran"


@task(atomic=True)
def group_atomically(value: Group) -> None:
    got.append(value)
