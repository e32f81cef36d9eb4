"""Backups: consistent copies of a database made while it is written, and restoring any commit since the first one.

    control    which backups a database has, and how far each has come: a file in the database's directory
    files      how a backup lies on disk: checksummed files of pairs and a manifest
    making     from a database to a backup
    restoring  from backups to a database as of a commit or a time
    verifying  whether backups are sound

A backup is made of key-value pairs, not of RocksDB's files. A full one has the pairs as of one commit (`base`), every
one the changes of the commits since the previous backup (`history`, kept by the writer from the first backup on) and
the columns of the segments that appear in either (`values`), which never change once written. Restoring is the base,
then the history up to the wanted commit, then the values of the segments that are then alive.
"""
