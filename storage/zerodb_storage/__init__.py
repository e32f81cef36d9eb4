"""zerodb's storage layer: tables as compressed segments, commit records and a delta, over a key-value store.

    Database      open, snapshot, begin, check                               database
    Snapshot      all tables as of one commit                                snapshot
    TableVersion  layout, statistics, zone maps, chunks of one table         table
    WriteTransaction  create, append, delete, commit, savepoints             transaction
    import_batches, open_file, schema_of   bulk import of files              importing, files

It knows no SQL: column types, layouts and errors are all it shares with the compiler.
"""

from zerodb_storage.catalog import Column
from zerodb_storage.csv_files import CsvOptions
from zerodb_storage.database import Database
from zerodb_storage.dictionary import Dictionary
from zerodb_storage.file_reader import FileReader, schema_of
from zerodb_storage.files import open_file
from zerodb_storage.importing import import_batches
from zerodb_storage.locks import Outdated, Owner, RowMode, RowOutdated, TableMode
from zerodb_storage.savepoints import Savepoint
from zerodb_storage.snapshot import Snapshot
from zerodb_storage.table import ChunkColumn, TableVersion, ZoneMap
from zerodb_storage.transaction import WriteTransaction

__all__ = [
    "ChunkColumn",
    "Column",
    "CsvOptions",
    "Database",
    "Dictionary",
    "FileReader",
    "Outdated",
    "Owner",
    "RowMode",
    "RowOutdated",
    "Savepoint",
    "Snapshot",
    "TableMode",
    "TableVersion",
    "WriteTransaction",
    "ZoneMap",
    "import_batches",
    "open_file",
    "schema_of",
]
