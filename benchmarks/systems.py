"""Which systems there are, and on which stores each runs."""

from __future__ import annotations

from dataclasses import dataclass

DATABASES = ("sqlite", "postgresql", "mariadb")


@dataclass(frozen=True, kw_only=True)
class System:
    """`name` is what people call it; its folder below `peers` has underscores for dashes."""

    name: str
    stores: tuple[str, ...]

    @property
    def folder(self) -> str:
        return self.name.replace("-", "_")


OURS = System(name="reinhardt_tasks", stores=(*DATABASES, "redis"))

PEERS = (
    System(name="django-tasks-db", stores=DATABASES),
    System(name="dj-queue", stores=DATABASES),
    System(name="steady-queue", stores=DATABASES),
    System(name="celery", stores=("redis",)),
    System(name="dramatiq", stores=("redis",)),
    System(name="rq", stores=("redis",)),
    System(name="huey", stores=("redis",)),
    System(name="django-vtasks", stores=("redis",)),
    System(name="threadmill", stores=("redis",)),
    System(name="django-tasks-redis", stores=("redis",)),
)


def chosen(names: list[str] | None, store: str) -> list[System]:
    """Return ourselves, then the peers of these names (None: all) that run on `store`."""
    known = {peer.name: peer for peer in PEERS}
    if unknown := set(names or ()) - set(known):
        raise ValueError(f"There is no peer {', '.join(sorted(unknown))}; there are {', '.join(known)}.")
    wanted = known if names is None else names
    return [OURS, *(known[name] for name in wanted if store in known[name].stores)]
