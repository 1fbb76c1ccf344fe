"""Columns and indexes that mean the same in every database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
from django.utils.dateparse import parse_datetime
from django.utils.functional import cached_property

from .timestamps import from_micros, to_micros


class InstantField(models.BigIntegerField):  # type: ignore[type-arg]
    """A moment, an aware datetime in Python, stored as microseconds since 1970 UTC.

    So it has one order, size and precision everywhere, whatever USE_TZ, the session's time zone or the vendor's own type
    say; the queue's order hangs on it. Lookups take datetimes.
    """

    # To django-stubs it is what it is in Python.
    _pyi_private_set_type: datetime  # type: ignore[assignment]
    _pyi_private_get_type: datetime  # type: ignore[assignment]
    _pyi_lookup_exact_type: datetime  # type: ignore[assignment]

    def from_db_value(self, value: int | None, *args: Any) -> datetime | None:
        return None if value is None else from_micros(value)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str):
            # As a fixture has it.
            value = int(value) if value.lstrip("-").isdigit() else parse_datetime(value)
        return from_micros(value) if isinstance(value, int) else value

    @cached_property
    def validators(self) -> list[Any]:
        # A whole number's have a least and a greatest one, to which no moment can be compared.
        validators: list[Any] = super(models.IntegerField, self).validators
        return validators

    def get_prep_value(self, value: Any) -> Any:
        return to_micros(value) if isinstance(value, datetime) else super().get_prep_value(value)

    def value_to_string(self, obj: models.Model) -> str:
        value = self.value_from_object(obj)
        return "" if value is None else str(self.get_prep_value(value))

    def formfield(self, **kwargs: Any) -> Any:
        from django import forms

        return forms.DateTimeField(required=not self.blank, label=self.verbose_name, help_text=self.help_text)


class ExactCharField(models.CharField):  # type: ignore[type-arg]
    """Text that is compared letter by letter, to the last blank: MySQL and MariaDB would take 'Mail' and 'mail ' for one."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            # utf8mb4_bin would pad the shorter of two texts with blanks.
            server: Any = connection
            parameters["collation"] = "utf8mb4_nopad_bin" if server.mysql_is_mariadb else "utf8mb4_0900_bin"
        elif connection.vendor == "postgresql":
            # Bytes in order: an index in it serves every query, and comparing does not ask the locale.
            parameters["collation"] = "C"
        return parameters


class SparseIndex(models.Index):
    """An index of the rows where its first field is not NULL, on databases that know partial indexes; of all rows elsewhere.

    Finished rows have NULL there, so that history costs the living nothing. A plain `condition` would leave MySQL and
    MariaDB without any index.
    """

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **kwargs: Any) -> Any:
        index = models.Index(fields=self.fields, name=self.name, condition=self._condition_for(schema_editor))
        return index.create_sql(model, schema_editor, using=using, **kwargs)

    def _condition_for(self, schema_editor: Any) -> Q | None:
        if not schema_editor.connection.features.supports_partial_indexes:
            return None
        return Q((f"{self.fields[0]}__isnull", False))


class ConditionalIndex(models.Index):
    """An index of the rows where `where` holds, on databases that know partial indexes; elsewhere there is none.

    With a plain `condition` Django would make one of all rows there, which nothing reads and every statement pays for, and
    warn of it.
    """

    def __init__(self, *, where: Q, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.where = where

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "where": self.where}

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **kwargs: Any) -> Any:
        if not schema_editor.connection.features.supports_partial_indexes:
            return _NOTHING
        index = models.Index(fields=self.fields, name=self.name, condition=self.where)
        return index.create_sql(model, schema_editor, using=using, **kwargs)

    def remove_sql(self, model: Any, schema_editor: Any, **kwargs: Any) -> Any:
        if not schema_editor.connection.features.supports_partial_indexes:
            return _NOTHING
        return super().remove_sql(model, schema_editor, **kwargs)


#: A statement that changes nothing: Django runs one whatever an index says.
_NOTHING = "SELECT 1"
