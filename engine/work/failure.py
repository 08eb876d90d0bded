"""Why something failed, in one line."""

import traceback

from engine.errors import UserError

_SENTENCES_OF_FULL_CARD = 3
"""What was tried, how much was asked for, and how much is free."""

_CARD_IS_FULL = ("CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED")
"""What the driver and its libraries say, who do not ask torch for memory."""


def in_one_line(error: Exception) -> str:
    """An error as a run or a task has it; what nobody has foreseen goes into the log as a whole."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which goes on with how it keeps its books
        reason = ". ".join(reason.split(". ")[:_SENTENCES_OF_FULL_CARD]).removesuffix(".")
    if not isinstance(error, UserError):
        traceback.print_exception(error)
        reason = f"{type(error).__name__}: {reason}; the whole error is in the worker's log"
    return reason


def card_is_lost(reason: str) -> bool:
    """Whether the process can no longer use its card. One that is only full can be used again."""
    return "CUDA error" in reason and not any(full in reason for full in _CARD_IS_FULL)
