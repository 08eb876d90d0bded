"""Is this pid still the process that it was? Linux only, without psutil's dependence on the wall clock."""

import time
from pathlib import Path

_STALE_HEARTBEAT_S = 30.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ENDED_STATES = "ZXx"  # a zombie has ended, although its pid is still taken


def process_start(pid: int) -> str | None:
    """Identify the process that has this pid now: `boot id/clock ticks since boot`; None when there is none.

    A pid alone is not enough, because pids are reused; the wall clock is not either, because it can be set.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    state, *fields = status.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    if state in _ENDED_STATES:
        return None
    return f"{boot_id()}/{fields[18]}"  # starttime, field 22 of proc(5)


def is_alive(pid: int | None, start: str | None) -> bool:
    """Whether the process that had this pid and `process_start` is still there."""
    return pid is not None and start is not None and process_start(pid) == start


def is_gone(pid: int | None, start: str | None, heartbeat: float | None) -> bool:
    """Whether a process that was responsible for something has died.

    The pid of a process on another machine, or from before this one was restarted, says nothing here: such
    a process is gone when its heartbeat (Unix time, seconds) is too old, or so far in the future that the
    clock must have been set back since.
    """
    if start is not None and start.partition("/")[0] == boot_id():
        return not is_alive(pid, start)
    return heartbeat is None or abs(time.time() - heartbeat) > _STALE_HEARTBEAT_S


def boot_id() -> str:
    """The kernel's random identifier of this boot."""
    return _BOOT_ID.read_text(encoding="ascii").strip()
