"""What this machine can compute with, as JSON: `python -m engine.probe`.

A process of its own, because it imports torch, fairseq2 and sonar, which viewers never do. Nothing is loaded
and nothing is downloaded.
"""

import json
from importlib import import_module
from pathlib import Path

from engine.bundles import BUNDLES
from engine.native import load_libsndfile

LIBRARIES = ("torch", "fairseq2", "sonar", "transformers")


def main() -> None:
    """Print `{"problems": {library: …}, "gpus": […], "missing": {bundle: [part, …]}}`."""
    load_libsndfile()
    findings: dict[str, object] = {"problems": _import_problems(), "gpus": [], "missing": {}}
    if not findings["problems"]:
        findings["gpus"] = _gpus()
        findings["missing"] = {
            bundle.name: [
                *(part for part in ("encoder", "decoder") if not _has_files_of_card(getattr(bundle, part))),
                *([] if _has_generator(bundle.generator) else ["generator"]),
            ]
            for bundle in BUNDLES.values()
        }
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


def _has_files_of_card(name: str) -> bool:
    """Whether weights and tokenizer of a fairseq2 asset card are on this machine."""
    from fairseq2.assets import AssetDownloadError, get_asset_download_manager, get_asset_store

    card, manager = get_asset_store().retrieve_card(name), get_asset_download_manager()
    try:
        return all(
            manager.download_model(card.field(field).as_uri(), name, local_only=True).exists()
            for field in ("checkpoint", "tokenizer")
        )
    except AssetDownloadError:
        return False


def _has_generator(generator: str) -> bool:
    """Whether a directory, or the hub's cached copy of a Hugging Face id, holds configuration and weights."""
    from huggingface_hub import try_to_load_from_cache

    from engine.models.generator import CONFIG_FILE, PICKLE_FILE, SAFETENSORS_FILE

    def has(file: str) -> bool:
        if Path(generator).is_absolute():
            return (Path(generator) / file).is_file()
        return isinstance(try_to_load_from_cache(generator, file), str)

    return has(CONFIG_FILE) and (has(SAFETENSORS_FILE) or has(PICKLE_FILE))


if __name__ == "__main__":
    main()
