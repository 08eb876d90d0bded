"""SONAR's encoder and decoder: by fairseq2's asset cards, or from checkpoints; and their tokenizers."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any

import torch
from fairseq2.assets import (
    AssetCard,
    AssetCardError,
    AssetDownloadError,
    AssetNotFoundError,
    get_asset_download_manager,
    get_asset_store,
)
from fairseq2.data.tokenizers import (
    Tokenizer,
    TokenizerModelError,
    TokenizerNotKnownError,
    load_tokenizer,
)
from fairseq2.error import OperationalError
from fairseq2.model_checkpoint import CorruptModelCheckpointError
from fairseq2.models import ModelNotKnownError
from fairseq2.models.nllb import NllbTokenizerConfig
from fairseq2.models.nllb.tokenizer import load_nllb_tokenizer
from fairseq2.nn.utils.module import reset_non_persistent_buffers
from sonar.models.sonar_text import get_sonar_text_decoder_hub, get_sonar_text_encoder_hub
from torch import nn

from engine.bundles import Bundle, is_card
from engine.catalog.cards import cache_directory, is_address
from engine.catalog.downloads import Progress, fetch_file
from engine.errors import UserError
from engine.models.digest import file_identity
from engine.models.weights import Weights, check_weights, fill, is_mappable

_HUBS: dict[str, Any] = {"encoder": get_sonar_text_encoder_hub, "decoder": get_sonar_text_decoder_hub}


@dataclass(frozen=True)
class SonarPart:
    """An encoder or decoder whose files are here."""

    kind: str
    """`encoder` or `decoder`."""

    checkpoint: Path
    config: Any
    """fairseq2's configuration of its architecture."""

    def open(self) -> tuple[nn.Module, Weights]:
        """Its model on the meta device, and the weights that `load` puts into it; nothing is read yet.

        Raises:
            UserError: the checkpoint is damaged, or does not fit the architecture: which keys.
        """
        hub = _HUBS[self.kind]()
        with explained(self.kind):
            identity = file_identity(self.checkpoint)
            model: nn.Module = hub.create_new_model(deepcopy(self.config), meta=True, dtype=torch.float32)
            try:
                tensors = dict(
                    hub.iter_checkpoint(
                        self.checkpoint, deepcopy(self.config), mmap=is_mappable(self.checkpoint)
                    )
                )
            except (KeyError, AttributeError) as error:  # sonar-space looks for names that are not there
                raise UserError(
                    f"{self.kind}: {self.checkpoint}: is no checkpoint of a SONAR {self.kind}"
                ) from error
        check_weights(self.checkpoint, tensors, model)
        return model, Weights((self.checkpoint,), (identity,), tensors)


def load_part(model: nn.Module, weights: Weights, *, device: torch.device, dtype: torch.dtype) -> None:
    """Fill an encoder or decoder on the meta device."""
    fill(model, weights.tensors, device=device, dtype=dtype)
    reset_non_persistent_buffers(model)


def find_part(kind: str, bundle: Bundle, *, progress: Progress | None = None) -> SonarPart:
    """The encoder or decoder of a bundle; downloaded where it is not here.

    Args:
        kind: `encoder` or `decoder`.
        bundle: Which names it.
        progress: Called now and then while it is downloaded.

    Raises:
        UserError: card, architecture or file is unknown, or it can not be downloaded.
    """
    source, hub = getattr(bundle, kind), _HUBS[kind]()
    with explained(kind):
        if is_card(source):
            card = get_asset_store().retrieve_card(source)
            return SonarPart(kind, _file_of(kind, card, "checkpoint", progress), hub.get_model_config(card))
        if bundle.architecture not in hub.get_archs():
            known = ", ".join(sorted(hub.get_archs()))
            raise UserError(f"{kind}: architecture {bundle.architecture!r} is unknown; there are {known}")
        return SonarPart(kind, _file_at(kind, source, progress), hub.get_arch_config(bundle.architecture))


def find_tokenizers(bundle: Bundle) -> tuple[Tokenizer, Tokenizer]:
    """The encoder's and the decoder's tokenizer; downloaded where they are not here.

    Raises:
        UserError: a card or file is unknown, or it can not be downloaded.
    """
    with explained("tokenizer"):
        if bundle.tokenizer is None:
            return _tokenizer_of_card(bundle.encoder), _tokenizer_of_card(bundle.decoder)
        if is_card(bundle.tokenizer):
            tokenizer = _tokenizer_of_card(bundle.tokenizer)
        else:
            languages = list(bundle.languages or (bundle.language,))
            config = NllbTokenizerConfig(langs=languages, default_lang=bundle.language)
            tokenizer = load_nllb_tokenizer(_file_at("tokenizer", bundle.tokenizer), config)
        return tokenizer, tokenizer


def _tokenizer_of_card(name: str) -> Tokenizer:
    _file_of("tokenizer", get_asset_store().retrieve_card(name), "tokenizer")
    return load_tokenizer(name)


def _file_at(part: str, source: str, progress: Progress | None = None) -> Path:
    """A file by its path, or by its address."""
    if is_address(source):
        return fetch_file(part, source, progress=progress)
    if not Path(source).exists():
        raise UserError(f"{part}: {source}: no such file")
    return Path(source)


def _file_of(part: str, card: AssetCard, field: str, progress: Progress | None = None) -> Path:
    """The file that a card names; fairseq2's own download does not go on where one was interrupted."""
    uri = card.field(field).as_uri()
    if is_address(str(uri)) and not str(uri).endswith((".zip", ".tar", ".tar.gz", ".tgz")):
        return fetch_file(part, str(uri), progress=progress)
    return get_asset_download_manager().download_model(uri)


@contextmanager
def explained(part: str) -> Iterator[None]:
    """Turn what fairseq2 raises while it finds or opens a part into one line."""
    try:
        yield
    except AssetDownloadError as error:
        place = cache_directory() / sha1(str(error.uri).encode()).hexdigest()[:24]
        raise UserError(
            f"{part}: {error.uri} is neither here nor within reach; download it on a machine with network "
            f"and put it into {place}"
        ) from error
    except AssetNotFoundError as error:
        raise UserError(f"{part}: there is no fairseq2 asset card {error.name!r}") from error
    except (
        AssetCardError,
        CorruptModelCheckpointError,
        ModelNotKnownError,
        OperationalError,
        OSError,
        RuntimeError,
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
