"""What this machine can compute with, as JSON: `python -m engine.apart.probe`.

A process of its own, because it imports torch, fairseq2 and sonar, which viewers never do. Nothing is loaded
and nothing is downloaded.
"""

import json
from importlib import import_module

from engine.native import load_libsndfile

LIBRARIES = ("torch", "fairseq2", "sonar", "transformers")


def main() -> None:
    """Print `{"problems": {library: …}, "gpus": […]}`."""
    load_libsndfile()
    findings: dict[str, object] = {"problems": _import_problems(), "gpus": []}
    if not findings["problems"]:
        findings["gpus"] = _gpus()
    print(json.dumps(findings))


def _import_problems() -> dict[str, str]:
    problems = {}
    for library in LIBRARIES:
        try:
            import_module(library)
        except Exception as error:  # a broken native half can raise anything
            problems[library] = " ".join(str(error).split())
    return problems


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


if __name__ == "__main__":
    main()
