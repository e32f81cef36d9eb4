"""Rows in the form in which a version of a table stores them: strings as codes where the column has a dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from zerodb_storage import dictionary
from zerodb_storage.catalog import TextMode
from zerodb_storage.dictionary import Dictionary
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Values


def coded(version: TableVersion, batch: Sequence[Values]) -> tuple[TableVersion, list[Values]]:
    """A batch with dictionary columns as CODES, and the version with their dictionaries grown; a column whose
    dictionary would pass its limit is plain text from now on."""
    stored = list(batch)
    schema, dictionaries = version.schema, dict(version.dictionaries)
    for column, mode in enumerate(schema.text_modes):
        if mode is not TextMode.DICTIONARY:
            continue
        store = dictionaries[column].store
        codes = dictionary.encode(batch[column], store)
        if codes is None:
            schema = schema.with_mode(column, TextMode.RETIRED)
        else:
            stored[column] = codes
            dictionaries[column] = Dictionary(store, store.size)
    if schema is version.schema and not dictionaries:
        return version, stored
    return version.derived(schema=schema, dictionaries=MappingProxyType(dictionaries)), stored
