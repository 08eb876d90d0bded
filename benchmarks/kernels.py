"""What takes the time of something, kernel by kernel."""

import re
from collections.abc import Callable

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from engine.fast.alone import ALONE

TOP = 10
_LONGEST_NAME = 90


def kernel_table(function: Callable[[], object], device: torch.device, *, steps: int) -> str:
    """The kernels that take most of the time, on the CPU the operations, as Markdown.

    Args:
        function: what is looked at; it has run before.
        device: where its work is done.
        steps: it is this many steps, over which the times are divided.
    """
    is_cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if is_cuda else ProfilerActivity.CPU]) as found:
        function()
        if is_cuda:
            with ALONE:  # while a thread captures what it does, nobody may wait for the whole device
                torch.cuda.synchronize(device)
    kind = DeviceType.CUDA if is_cuda else DeviceType.CPU
    of_kind = [event for event in found.key_averages() if event.device_type == kind]
    times_us = {
        id(event): event.self_device_time_total if is_cuda else event.self_cpu_time_total for event in of_kind
    }
    whole_us = sum(times_us.values()) or 1.0
    number, kinds = sum(event.count for event in of_kind), "kernels" if is_cuda else "operations"
    lines = [
        f"{whole_us / steps / 1e3:.3f} ms a step in {number / steps:.0f} {kinds}.",
        "",
        "| ms a step | share | times | what |",
        "|---|---|---|---|",
    ]
    for event in sorted(of_kind, key=lambda event: -times_us[id(event)])[:TOP]:
        time_us = times_us[id(event)]
        lines.append(
            f"| {time_us / steps / 1e3:.3f} | {time_us / whole_us:.0%} | {event.count / steps:.0f} "
            f"| `{_shortened(event.key)}` |"
        )
    return "\n".join(lines)


def _shortened(name: str) -> str:
    """A kernel's name without what most of them have in common."""
    name = re.sub(r"^(void|std::enable_if<.*?>::type) ", "", name)
    name = re.sub(r"at::native::|\(anonymous namespace\)::|at::cuda::|internal::|cutlass::", "", name)
    name = name.replace("|", "/").replace("`", "'")
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
