"""The one conformance suite: what every broker promises, written against `Broker` alone.

A broker's tests inherit it, and say how to get a broker:

    class TestMyBroker(BrokerContract):
        @pytest.fixture
        def broker(self): ...              # its store empty

        def another_broker(self, alias="default"): ...     # a second object on the same store, as another process
                                                           # would have; or that of another backend

A store whose clock can be moved overrides `now` and `move_time` too.
"""

from __future__ import annotations

from .promises.aliases import Aliases
from .promises.enqueuing import Enqueuing
from .promises.fencing import Fencing
from .promises.interventions import Interventions
from .promises.kinds import KindPromises
from .promises.leases import Leases
from .promises.limits import Limits
from .promises.lives import Lives
from .promises.logs import Logs
from .promises.lookups import Lookups
from .promises.orders import Orders
from .promises.outcomes import Outcomes
from .promises.queues import QueuePromises
from .promises.races import Races
from .promises.retries import Retries
from .promises.searches import Searches
from .promises.texts import Texts
from .promises.waiting import Waiting


class BrokerContract(
    Lives,
    Enqueuing,
    Orders,
    QueuePromises,
    KindPromises,
    Leases,
    Fencing,
    Outcomes,
    Retries,
    Logs,
    Interventions,
    Lookups,
    Limits,
    Searches,
    Texts,
    Waiting,
    Races,
    Aliases,
):
    """All promises. Inherit this."""
