"""When something happened, short and in local time."""

import time


def moment_text(moment_s: float, now_s: float) -> str:
    """`14:02:07` within the last twelve hours, else `11-22 14:02`.

    Args:
        moment_s: Unix time in seconds; so is `now_s`.
        now_s: The present.
    """
    form = "%H:%M:%S" if abs(now_s - moment_s) < 12 * 3600 else "%m-%d %H:%M"
    return time.strftime(form, time.localtime(moment_s))
