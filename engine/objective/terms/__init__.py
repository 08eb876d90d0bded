"""The loss terms, one file each, which holds a `TERM`."""
