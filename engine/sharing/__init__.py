"""A session as one file that can be handed on, and such a file taken into another database.

The file is a ZIP archive: `manifest.json`, for each table `NAME.jsonl` with one object a row, and for tables
that hold bytes `NAME.bin` with all of them one after another. It holds data only; opening somebody else's
file executes nothing.
"""
