"""Load a bundle's models, once, frozen, each straight to its device and precision."""

import gc
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from weakref import WeakValueDictionary

import torch
from sonar.models.sonar_text import SonarTextTransformerEncoderModel
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import nn

from engine.bundles import Bundle, find_bundle, is_path
from engine.catalog.bundle_parts import check_paths, may_need_download
from engine.catalog.downloads import Progress, fetch_generator, local_generator
from engine.compiler import check_compiler
from engine.errors import CardTooSmallError, UserError
from engine.fast.alone import ALONE
from engine.fast.padded import padded
from engine.models.digest import FileIdentity, WeightsDigest
from engine.models.generator import SonarLLM
from engine.models.loaded import LoadedBundle
from engine.models.memory import check_memory
from engine.models.remembered_digest import HashedPart, RememberedDigest
from engine.models.sizes import Sizes
from engine.models.sonar import SonarPart, find_part, find_tokenizers, load_part
from engine.models.weights import Weights, matched

__all__ = ["LoadedBundle", "load_bundle"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ENCODER_PLACES = ("device", "cpu")

_Key = tuple[Bundle, torch.device, torch.device, torch.dtype]
"""A bundle, where its encoder is and where the rest, and their precision."""

_loaded: dict[_Key, LoadedBundle] = {}

_compiled: dict[_Key, LoadedBundle] = {}
"""The same models, compiled."""

_PartKey = tuple[FileIdentity, torch.device, torch.dtype]

_encoders_and_decoders: WeakValueDictionary[_PartKey, nn.Module] = WeakValueDictionary()
"""Those that are loaded, for whichever bundles they are parts of."""


@dataclass(frozen=True)
class _Placed:
    """A part on the meta device, and what is to become of it."""

    model: nn.Module
    weights: Weights
    device: torch.device

    def key(self, dtype: torch.dtype) -> _PartKey:
        """What it goes by once it is loaded."""
        return self.weights.identities[0], self.device, dtype

    @property
    def hashed(self) -> HashedPart:
        """What of it decides about the digest."""
        named = matched(self.model, self.weights.tensors)
        shapes = tuple((name, tuple(parameter.shape)) for name, parameter, _ in named)
        return HashedPart(self.weights.identities, shapes)


def load_bundle(
    name: str = "mini",
    *,
    device: str = "auto",
    dtype: str = "float32",
    encoder: str = "device",
    compiled: bool = False,
    progress: Callable[[str], None] | None = None,
    downloads: Progress | None = None,
    wrong_digest: Callable[[str], None] | None = None,
) -> LoadedBundle:
    """Load the models of a bundle, or return them if this process has them already.

    Args:
        name: one of engine.bundles.all_bundles.
        device: `auto` (CUDA where there is one, else the CPU), `cpu`, `cuda` or `cuda:N`.
        dtype: precision of the weights: `float32` or `bfloat16`.
        encoder: where the encoder is kept: on the `device`, as the other models, or on the `cpu`.
        compiled: whether the models' part of a step is compiled; the weights are the same ones.
        progress: called with a line before each part is loaded.
        downloads: called with a line now and then while a part is downloaded.
        wrong_digest: called with the digest that was remembered, if it is not that of the weights. Where this
            is given, the digest is computed whatever is remembered.

    Raises:
        UserError: bundle, device or dtype is unknown or absent, weights are missing, damaged or out of
            reach, the card is too small, or there is no compiler.
    """
    bundle = find_bundle(name)
    if dtype not in DTYPES:
        raise UserError(f"dtype: {dtype!r} is unknown; there are {', '.join(DTYPES)}")
    if encoder not in ENCODER_PLACES:
        raise UserError(f"encoder: {encoder!r} is unknown; there are {', '.join(ENCODER_PLACES)}")
    main_device = find_device(device)
    encoder_device = torch.device("cpu") if encoder == "cpu" else main_device
    if compiled:
        check_compiler(str(main_device))
    key = (bundle, encoder_device, main_device, DTYPES[dtype])
    if key not in _loaded:
        _loaded[key] = _load(
            *key,
            progress=progress or (lambda line: None),
            downloads=downloads,
            wrong_digest=wrong_digest,
        )
    if not compiled:
        return _loaded[key]
    if key not in _compiled or _compiled[key].generator is not _loaded[key].generator:
        _compiled[key] = replace(_loaded[key], is_compiled=True)
    return _compiled[key]


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
    bundle: Bundle,
    encoder_device: torch.device,
    device: torch.device,
    dtype: torch.dtype,
    *,
    progress: Callable[[str], None],
    downloads: Progress | None,
    wrong_digest: Callable[[str], None] | None,
) -> LoadedBundle:
    check_paths(bundle)

    def say_finding(part: str) -> None:
        if may_need_download(part, bundle):
            progress(f"finding {part}, or downloading it")

    say_finding("generator")  # first: it is the part that most often is not here
    generator_directory = _generator_directory(bundle, downloads)
    progress("loading tokenizer")
    tokenizers = find_tokenizers(bundle)
    say_finding("encoder")
    encoder = find_part("encoder", bundle, progress=downloads)
    say_finding("decoder")
    decoder = find_part("decoder", bundle, progress=downloads)
    parts = {
        "encoder": _Placed(*encoder.open(), encoder_device),
        "decoder": _Placed(*decoder.open(), device),
        "generator": _Placed(*SonarLLM.open_directory(generator_directory), device),
    }
    _check_together(bundle, encoder, decoder, parts, [each.vocab_info.size for each in tokenizers])
    _make_room(bundle, parts, device, dtype)
    remembered = RememberedDigest.of({part: placed.hashed for part, placed in parts.items()})
    known = remembered.value if wrong_digest is None else None
    hashes = WeightsDigest()
    models = {}
    with _kernels_made(device, progress), ThreadPoolExecutor(max_workers=1) as hashing:
        for part in list(parts):
            progress(f"loading {part}")
            placed = parts.pop(part)
            named = [(name, tensor) for name, _, tensor in matched(placed.model, placed.weights.tensors)]
            # Beside the copying, which waits for the disk and the card; but not for longer than this part,
            # whose file is mapped until then.
            hashed = hashing.submit(hashes.add, part, placed.weights.identities, named) if not known else None
            models[part] = _loaded_part(part, placed, dtype)
            if hashed is not None:
                hashed.result()
            del placed, named, hashed
    digest = known or hashes.hexdigest()
    remembered.keep(digest)
    if wrong_digest is not None and remembered.value is not None and remembered.value != digest:
        wrong_digest(remembered.value)
    loaded = LoadedBundle(
        bundle=bundle,
        encoder=cast(SonarTextTransformerEncoderModel, models["encoder"]),
        decoder=cast(ConditionalTransformerDecoderModel, models["decoder"]),
        generator=cast(SonarLLM, models["generator"]),
        encoder_tokenizer=tokenizers[0],
        decoder_tokenizer=tokenizers[1],
        device=device,
        dtype=dtype,
        digest=digest,
    )
    if device.type == "cuda":
        from engine.models.rehearsal import rehearse

        progress("making kernels for models of this size")
        rehearse(loaded)
    return loaded


def _kernels_made(device: torch.device, progress: Callable[[str], None]) -> AbstractContextManager[None]:
    """Make the kernels of a card meanwhile; elsewhere there are none."""
    if device.type != "cuda":
        return nullcontext()
    from engine.models.kernels import made_beside

    return made_beside(device, progress)


def _loaded_part(part: str, placed: _Placed, dtype: torch.dtype) -> nn.Module:
    model, weights, device = placed.model, placed.weights, placed.device
    if isinstance(model, SonarLLM):
        model.load(weights, device=device, dtype=dtype)
        return model
    key = placed.key(dtype)
    if (loaded := _encoders_and_decoders.get(key)) is not None:
        return loaded
    load_part(model, weights, device=device, dtype=dtype)
    if isinstance(model, ConditionalTransformerDecoderModel):
        projection: Any = model.final_proj
        padded(projection.weight)  # here, for it takes a copy, and the generator has no memory yet
    _encoders_and_decoders[key] = model
    return model


def _make_room(
    bundle: Bundle, parts: Mapping[str, _Placed], device: torch.device, dtype: torch.dtype
) -> None:
    """Refuse what the card has no room for, even after models that nothing uses any more have left it."""
    sizes = Sizes.of({part: placed.model for part, placed in parts.items()})
    on_card = parts["encoder"].device.type == device.type

    def check() -> None:
        parameters = dict(sizes.parameters)
        already = sum(
            parameters[part] * dtype.itemsize
            for part, placed in parts.items()
            if placed.device == device and placed.key(dtype) in _encoders_and_decoders
        )
        check_memory(bundle.name, sizes, device, dtype, encoder_on_card=on_card, already=already)

    try:
        check()
    except CardTooSmallError:
        if not _loaded:
            raise
        _loaded.clear()
        _compiled.clear()
        gc.collect()
        with ALONE:
            torch.cuda.empty_cache()
        check()


def _check_together(
    bundle: Bundle,
    encoder: SonarPart,
    decoder: SonarPart,
    parts: Mapping[str, _Placed],
    tokenizer_sizes: list[int],
) -> None:
    """Refuse parts that do not belong together."""
    generator = cast(SonarLLM, parts["generator"].model)
    dimensions = {
        "encoder": encoder.config.embedding_dim or encoder.config.model_dim,
        "decoder": decoder.config.input_dim or decoder.config.model_dim,
        "generator": generator.embedding_dim,
    }
    if len(set(dimensions.values())) > 1:
        raise UserError(
            f"bundle: {bundle.name}: the parts have embeddings of several dimensions: "
            + ", ".join(f"{part} {dimension}" for part, dimension in dimensions.items())
        )
    for part, size in zip((encoder, decoder), tokenizer_sizes, strict=True):
        if size > part.config.vocab_info.size:
            raise UserError(
                f"bundle: {bundle.name}: the tokenizer has {size} tokens, and the {part.kind} takes "
                f"{part.config.vocab_info.size}"
            )
        if bundle.max_tokens > part.config.max_seq_len:
            raise UserError(
                f"bundle: {bundle.name}: max_tokens {bundle.max_tokens}; the {part.kind} takes at most "
                f"{part.config.max_seq_len}"
            )


def _generator_directory(bundle: Bundle, downloads: Progress | None) -> Path:
    """A local directory as it is; a Hugging Face id by way of the hub's cache."""
    if is_path(bundle.generator):
        return Path(bundle.generator)
    found = local_generator(bundle.generator, bundle.revision)
    return found or fetch_generator(bundle.generator, bundle.revision, progress=downloads)
