"""What whoever did something to tasks is told: for how many it is done, and for which ones not."""

from __future__ import annotations

from django.contrib import messages
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .budgets import Progress
from .visits import Visit


def tell(visit: Visit, progress: Progress, number: int) -> None:
    """Say for how many tasks it is done in all, and for which ones not."""
    if number:
        visit.say(ngettext("Done for {number} task.", "Done for {number} tasks.", number).format(number=f"{number:,}"))
    elif not progress.left and progress.error is None:
        visit.say(_("There was nothing to do."), messages.WARNING)
    tell_of_left(visit, progress)


def tell_of_deleted(visit: Visit, number: int) -> None:
    words = ngettext("{number} task was deleted.", "{number} tasks were deleted.", number)
    visit.say(words.format(number=f"{number:,}"))


def tell_of_left(visit: Visit, progress: Progress) -> None:
    if progress.left:
        id_, reason = next(iter(progress.left.items()))
        words = ngettext(
            "Not done for {number} task; for {id}: {reason}",
            "Not done for {number} tasks; for {id}: {reason}",
            len(progress.left),
        )
        visit.say(words.format(number=f"{len(progress.left):,}", id=id_, reason=reason), messages.WARNING)
