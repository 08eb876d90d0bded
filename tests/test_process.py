"""Processes are recognised by pid and start, and the dead are not taken for alive."""

import os
import signal
import subprocess
import time

from engine.process import is_alive, is_gone, process_start


def test_a_process_is_alive_until_it_is_killed_even_before_it_is_reaped() -> None:
    child = subprocess.Popen(["sleep", "60"])
    start = process_start(child.pid)
    assert start is not None
    assert is_alive(child.pid, start)
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie now
    assert process_start(child.pid) is None
    assert is_gone(child.pid, start, time.time())
    child.wait()
    assert not is_alive(child.pid, start)


def test_the_same_pid_with_another_start_is_another_process() -> None:
    start = process_start(os.getpid())
    assert start is not None
    assert is_alive(os.getpid(), start)
    assert not is_alive(os.getpid(), start + "0")


def test_a_process_of_another_boot_is_judged_by_its_heartbeat() -> None:
    elsewhere = "another-boot/12345"
    assert not is_gone(os.getpid(), elsewhere, time.time())
    assert is_gone(os.getpid(), elsewhere, time.time() - 3600)
    assert is_gone(os.getpid(), elsewhere, None)
