"""Rows as people write them: RUN:STEP."""

from engine.errors import UserError


def row_of(field: str, text: str) -> tuple[int, int]:
    """The run and the step of a row that is written RUN:STEP.

    Raises:
        UserError: it is not; the line begins with the field.
    """
    parts = text.split(":")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise UserError(f"{field}: {text!r}: should be RUN:STEP, for example 7:100")
    return int(parts[0]), int(parts[1])
