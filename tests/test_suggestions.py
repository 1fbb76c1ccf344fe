from __future__ import annotations

from reinhardt_tasks.suggestions import did_you_mean, nearest, no_backend


def test_the_nearest_of_the_known_names_is_suggested() -> None:
    assert did_you_mean("emial", ["default", "email", "emails"]) == " (did you mean 'email'?)"
    assert did_you_mean("zzz", ["default"]) == ""
    assert did_you_mean(7, []) == ""


def test_how_near_is_near_may_be_said() -> None:
    known = {"Europe/Berlin", "America/Argentina/Salta"}
    assert nearest("Argentina", known) is None
    assert nearest("Argentina", known, cutoff=0.5) == "America/Argentina/Salta"


def test_an_alias_that_there_is_not_is_told_with_those_that_there_are() -> None:
    assert no_backend("mial", ["default", "mail"]) == (
        "TASKS has no backend 'mial' (did you mean 'mail'?); it has 'default', 'mail'."
    )
    assert "Write TASKS = {'default'" in no_backend("default", [])
