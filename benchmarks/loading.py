"""What loading a bundle of the real sizes takes: `python -m benchmarks.loading --generator 300m`.

Checkpoints with random weights are written first, in the published formats (about 7 GB and more), to a folder
that is deleted afterwards. A process of its own then loads them and says how long that took and what memory
of the host it took at most: its own, and with the mapped pages of the files, which the system takes back when
it needs them.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

GENERATORS: dict[str, dict[str, int]] = {
    "100m": {
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 8,
        "num_attention_heads": 16,
        "head_dim": 32,
    },
    "300m": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 10,
        "num_attention_heads": 16,
        "head_dim": 64,
    },
    "900m": {
        "hidden_size": 1536,
        "intermediate_size": 6144,
        "num_hidden_layers": 17,
        "num_attention_heads": 32,
        "head_dim": 64,
    },
}
"""Shapes of generators: 100m and 900m are the published ones, 300m is near to one."""

_VOCABULARY = 128_256
_SAMPLE_S = 0.01
_GIB = 2**30


def main() -> None:
    """Write the checkpoints, have them loaded, print what it took."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loading",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--generator", choices=GENERATORS, default="100m")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, help="keep the checkpoints here, and take what is here")
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        print(json.dumps(_load(options.dtype, options.device)))
        return
    if options.folder is not None:
        _measure(options.folder.resolve(), options)
        return
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), options)


def _measure(folder: Path, options: argparse.Namespace) -> None:
    write_checkpoints(folder, options.generator)
    config = folder / "config" / "sonar-explore" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(
        f'[bundles.random]\nencoder = "{folder}/encoder.pt"\ndecoder = "{folder}/decoder.pt"\n'
        f'tokenizer = "sonar_mini_encoder"\ngenerator = "{folder}/{options.generator}"\n'
    )
    command = [sys.executable, "-m", "benchmarks.loading", "--load"]
    answer = subprocess.run(
        [*command, "--dtype", options.dtype, "--device", options.device],
        env=os.environ | {"XDG_CONFIG_HOME": str(folder / "config")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(answer.stdout.splitlines()[-1])
    print(f"SONAR and SONAR-LLM {options.generator}, {options.dtype}, on {options.device}")
    for part in ("encoder", "decoder", "generator"):
        print(f"  {part:<34} {found['bytes'][part] / _GIB:6.2f} GiB")
    print(f"  {'host: own memory, at most':<34} {found['own_bytes'] / _GIB:6.2f} GiB")
    print(f"  {'host: with mapped files, at most':<34} {found['resident_bytes'] / _GIB:6.2f} GiB")
    print(f"  {'loading':<34} {found['seconds']:6.1f} s")
    print(f"  digest {found['digest']}")


def write_checkpoints(folder: Path, generator: str) -> None:
    """Write an encoder, a decoder and a generator with random weights, unless they are there."""
    import torch
    from sonar.models.sonar_text import get_sonar_text_decoder_hub, get_sonar_text_encoder_hub

    import engine.models  # noqa: F401  # before sonar
    from engine.models.generator import SonarLLM

    hubs: dict[str, Any] = {"encoder": get_sonar_text_encoder_hub(), "decoder": get_sonar_text_decoder_hub()}
    for part, hub in hubs.items():
        if not (folder / f"{part}.pt").exists():
            model = hub.create_new_model(hub.get_arch_config("basic"), meta=True, dtype=torch.float32)
            names = dict(model.named_parameters())
            torch.save({"model": _random(names)}, folder / f"{part}.pt")
    directory = folder / generator
    if (directory / "pytorch_model.bin").exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = GENERATORS[generator] | {"vocab_size": _VOCABULARY}
    config["num_key_value_heads"] = config["num_attention_heads"]
    (directory / "config.json").write_text(json.dumps({"llama_config": config, "embed_dim": 1024}))
    with torch.device("meta"):
        model = SonarLLM(config, 1024)
        unused = torch.empty(_VOCABULARY, config["hidden_size"])
    names = {_published(name): parameter for name, parameter in model.named_parameters()}
    names |= {"llama_model.model.embed_tokens.weight": unused, "llama_model.lm_head.weight": unused}
    torch.save(_random(names), directory / "pytorch_model.bin")


def _random(tensors: dict[str, Any]) -> dict[str, Any]:
    import torch

    return {name: torch.randn(tensor.shape) * 0.02 for name, tensor in tensors.items()}


def _published(name: str) -> str:
    name = re.sub(r"^(forward|reverse)_proj\.", r"\1_proj.linear.", name)
    return re.sub(r"^llama\.", "llama_model.model.", name)


def _load(dtype: str, device: str) -> dict[str, Any]:
    from engine import load_bundle
    from engine.models.loading import find_device

    find_device(device)
    with _watched() as most:
        start = time.perf_counter()
        bundle = load_bundle("random", device=device, dtype=dtype)
        seconds = time.perf_counter() - start
    models: dict[str, Any] = {
        "encoder": bundle.encoder,
        "decoder": bundle.decoder,
        "generator": bundle.generator,
    }
    sizes = {
        part: sum(weight.numel() * weight.element_size() for weight in model.parameters())
        for part, model in models.items()
    }
    return {
        "bytes": sizes,
        "own_bytes": most["RssAnon"],
        "resident_bytes": most["VmRSS"],
        "seconds": seconds,
        "digest": bundle.digest,
    }


@contextmanager
def _watched() -> Iterator[dict[str, int]]:
    """The most memory that this process has while it is watched, beyond what it has at the beginning."""
    before, most = _memory(), dict.fromkeys(("RssAnon", "VmRSS"), 0)
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_SAMPLE_S):
            for name, size in _memory().items():
                most[name] = max(most[name], size - before[name])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        is_over.set()
        thread.join()


def _memory() -> dict[str, int]:
    text = Path("/proc/self/status").read_text()
    return {name: int(size) * 1024 for name, size in re.findall(r"^(RssAnon|VmRSS):\s+(\d+) kB", text, re.M)}


if __name__ == "__main__":
    main()
