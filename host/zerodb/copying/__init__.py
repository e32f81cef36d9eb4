"""COPY between tables and files, streams or strings."""
