"""What a run runs on: for its record, and for whoever wants to make it again."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("sonar-explore", "torch", "fairseq2", "sonar-space", "transformers", "numpy")


def environment(device: str, *, is_compiled: bool = False) -> dict[str, str]:
    """Versions of what computes, and on what.

    Args:
        device: `cpu`, or `cuda:N`.
        is_compiled: whether the models' part of a step is compiled.
    """
    return {
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        **({"compiled": "yes"} if is_compiled else {}),
        "platform": platform.platform(),
        "host": platform.node(),
        **(_processor() if device == "cpu" else {"device": _card(device)}),
    }


def _processor() -> dict[str, str]:
    """The processor and how many of its threads share a sum: both decide how it is rounded."""
    import torch

    return {"device": _processor_name(), "threads": str(torch.get_num_threads())}


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _card(device: str) -> str:
    import torch

    return torch.cuda.get_device_name(device)


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
