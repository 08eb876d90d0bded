"""One SQLite file: the truth about every run, and the only thing that viewers and workers share."""
