"""Load a bundle's models, once, frozen."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha1, sha256
from pathlib import Path

import torch
from fairseq2.assets import AssetCardError, AssetDownloadError
from fairseq2.assets.dirs import AssetDirectoryAccessor
from fairseq2.data.tokenizers import TokenizerModelError, TokenizerNotKnownError, load_tokenizer
from fairseq2.error import OperationalError
from fairseq2.models import ModelNotKnownError
from fairseq2.runtime.dependency import get_dependency_resolver
from huggingface_hub import constants, snapshot_download
from sonar.models.sonar_text import get_sonar_text_decoder_hub, get_sonar_text_encoder_hub
from torch import nn

from engine.bundles import find_bundle
from engine.errors import UserError
from engine.models.generator import CONFIG_FILE, PICKLE_FILE, SAFETENSORS_FILE, SonarLLM
from engine.models.loaded import LoadedBundle

__all__ = ["LoadedBundle", "load_bundle"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_loaded: dict[tuple[str, torch.device, torch.dtype], LoadedBundle] = {}


def load_bundle(
    name: str = "mini",
    *,
    device: str = "auto",
    dtype: str = "float32",
    progress: Callable[[str], None] | None = None,
) -> LoadedBundle:
    """Load the models of a bundle, or return them if this process has them already.

    Args:
        name: one of engine.bundles.BUNDLES.
        device: `auto` (CUDA where there is one, else the CPU), `cpu`, `cuda` or `cuda:N`.
        dtype: precision of the weights: `float32` or `bfloat16`.
        progress: called with a line before each part is loaded.

    Raises:
        UserError: bundle, device or dtype is unknown or absent, or weights are missing, damaged or out of
            reach.
    """
    find_bundle(name)
    if dtype not in DTYPES:
        raise UserError(f"dtype: {dtype!r} is unknown; there are {', '.join(DTYPES)}")
    key = (name, find_device(device), DTYPES[dtype])
    if key not in _loaded:
        _loaded[key] = _load(*key, progress=progress or (lambda line: None))
    return _loaded[key]


def find_device(name: str) -> torch.device:
    """Resolve `auto`, `cpu`, `cuda` or `cuda:N`, or raise a UserError that lists what is there."""
    cuda = (
        [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    named = {"cpu": "cpu", "auto": [*cuda, "cpu"][0], **{device: device for device in cuda}}
    if cuda:
        named["cuda"] = cuda[0]
    if name not in named:
        raise UserError(f"device: {name} cannot be used; there are {', '.join(['auto', 'cpu', *cuda])}")
    return torch.device(named[name])


def _load(
    name: str, device: torch.device, dtype: torch.dtype, *, progress: Callable[[str], None]
) -> LoadedBundle:
    bundle = find_bundle(name)
    cpu = torch.device("cpu")
    progress("finding generator")  # first, because it is the part that is most often still to be downloaded
    generator_directory = _generator_directory(bundle.generator)
    progress("loading tokenizer")
    with _explained("tokenizer"):
        encoder_tokenizer = load_tokenizer(bundle.encoder)
        decoder_tokenizer = load_tokenizer(bundle.decoder)
    progress("loading encoder")
    with _explained("encoder"):
        encoder = get_sonar_text_encoder_hub().load_model(bundle.encoder, device=cpu, dtype=torch.float32)
    progress("loading decoder")
    with _explained("decoder"):
        decoder = get_sonar_text_decoder_hub().load_model(bundle.decoder, device=cpu, dtype=torch.float32)
    progress("loading generator")
    generator = SonarLLM.from_directory(generator_directory)
    models: dict[str, nn.Module] = {"encoder": encoder, "decoder": decoder, "generator": generator}
    digest = _digest(models)
    progress(f"moving models to {device}")
    for model in models.values():
        _move(model, device, dtype)
    return LoadedBundle(
        bundle=bundle,
        encoder=encoder,
        decoder=decoder,
        generator=generator,
        encoder_tokenizer=encoder_tokenizer,
        decoder_tokenizer=decoder_tokenizer,
        device=device,
        dtype=dtype,
        digest=digest,
    )


def _generator_directory(generator: str) -> Path:
    """A local directory as it is; a Hugging Face id by way of the hub's cache."""
    if Path(generator).is_absolute():
        return Path(generator)
    files = [CONFIG_FILE, SAFETENSORS_FILE, PICKLE_FILE]
    try:
        return Path(snapshot_download(generator, allow_patterns=files))
    except OSError as error:  # the hub's errors are all of this kind
        place = Path(constants.HF_HUB_CACHE) / f"models--{generator.replace('/', '--')}"
        raise UserError(
            f"generator: {generator} is neither here nor within reach ({type(error).__name__}); on a machine "
            f"with network run `hf download {generator}` and copy its cache folder to {place}"
        ) from error


@contextmanager
def _explained(part: str) -> Iterator[None]:
    """Turn what fairseq2 raises while it loads a part into one line."""
    try:
        yield
    except AssetDownloadError as error:
        directories: AssetDirectoryAccessor = get_dependency_resolver().resolve(AssetDirectoryAccessor)  # type: ignore[type-abstract]
        # fairseq2 keeps a download in a folder named for the hash of its address.
        place = directories.get_cache_dir() / sha1(str(error.uri).encode()).hexdigest()[:24]
        raise UserError(
            f"{part}: {error.uri} is neither here nor within reach; download it on a machine with network "
            f"and put it into {place}"
        ) from error
    except (
        AssetCardError,
        ModelNotKnownError,
        OperationalError,
        TokenizerModelError,
        TokenizerNotKnownError,
    ) as error:
        raise UserError(f"{part}: cannot be loaded: {_one_line(error)}") from error


def _one_line(error: BaseException | None) -> str:
    """The messages of an error and of what caused it."""
    messages = []
    while error is not None:
        messages.append(" ".join(str(error).split()))
        error = error.__cause__
    return " ".join(messages)


def _digest(models: Mapping[str, nn.Module]) -> str:
    """SHA-256 of the names, shapes and bytes of all weights, in hexadecimal."""
    hasher = sha256()
    for part, model in models.items():
        for name, parameter in model.named_parameters():
            hasher.update(f"{part}.{name} {tuple(parameter.shape)}\n".encode())
            hasher.update(parameter.detach().contiguous().numpy().data)
    return hasher.hexdigest()


def _move(model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Move a model and convert its weights; buffers (tables of positions) keep their precision."""
    model.to(device)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
