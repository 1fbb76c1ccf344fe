"""Model instances as arguments: where they are to be found is stored, and they are fetched when the task runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.apps import apps

from ..exceptions import InstanceMissing
from .converters import OBJECT, Converter, Refused


class ModelReference(Converter):
    """An instance of a model, or of one that inherits from it: its own model's label, its key, its database."""

    kinds = frozenset({OBJECT})
    asks_database = True

    def __init__(self, model: Any) -> None:
        self._model = model

    def accepts(self, value: Any) -> bool:
        return isinstance(value, self._model)

    def store(self, value: Any, path: str) -> dict[str, Any]:
        if not self.accepts(value):
            raise self.refused(value, path)
        if value.pk is None or value._state.adding:
            raise Refused(path, f"is a {self._name(value)} that is not saved: nobody could fetch it. Save it before.")
        if isinstance(value.pk, tuple):
            raise Refused(
                path, f"is a {self._name(value)}, whose key has several parts. Pass these, and fetch it in the task."
            )
        # Not where it was read: a replica may not have what the caller has written. Without a router it is that all the same.
        from django.db import router

        plain = type(value.pk) in (int, str)
        return {
            "model": value._meta.label_lower,
            "pk": value.pk if plain else value._meta.pk.value_to_string(value),
            "database": router.db_for_write(type(value), instance=value),
        }

    def restore(self, value: Any) -> Any:
        if not isinstance(value, Mapping) or value.keys() != {"model", "pk", "database"}:
            raise ValueError("it is no reference to an instance")
        model: Any = apps.get_model(value["model"])
        if not issubclass(model, self._model):
            raise TypeError(f"{model._meta.label} is no {self}")
        # Not the default manager, which may hide some: what was enqueued is wanted.
        found = model._base_manager.using(value["database"]).filter(pk=value["pk"]).first()
        if found is None:
            raise InstanceMissing(
                f"{model._meta.label} {value['pk']!r} is not in the database {value['database']!r} any more. "
                "@task(on_missing='skip') lets a task succeed without it."
            )
        return found

    def __str__(self) -> str:
        return str(self._model.__name__)

    def _name(self, value: Any) -> str:
        return type(value).__name__


def is_model(annotation: Any) -> bool:
    """Return whether this is a model, abstract or not. Asked without the ORM, which may not be ready."""
    meta = getattr(annotation, "_meta", None)
    return isinstance(annotation, type) and hasattr(meta, "label_lower") and hasattr(meta, "pk")
