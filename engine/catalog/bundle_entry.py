"""What one `[bundles.NAME]` of config.toml may say; slow to import, because of pydantic."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from engine.bundles import DEFAULT_ARCHITECTURE, Bundle, is_card
from engine.catalog.cards import SONAR_DECODER, SONAR_ENCODER, is_address
from engine.mini import LANGUAGE

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Of a bundle."""

_CARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,199}")
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


def _is_path(text: str) -> bool:
    return text.startswith(("/", "~"))


def _absolute(text: str) -> str:
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        raise ValueError("the home directory of ~ is not known") from None


def _card_or_file(text: str) -> str:
    if _is_path(text):
        return _absolute(text)
    if not (_CARD.fullmatch(text) or is_address(text)):
        raise ValueError("should be a file, /… or ~/…, its address, https://…, or a fairseq2 asset card")
    return text


def _directory_or_id(text: str) -> str:
    if _is_path(text):
        return _absolute(text)
    if not _HUB_ID.fullmatch(text):
        raise ValueError("should be a directory, /… or ~/…, or a Hugging Face id, owner/name")
    return text


def _file(text: str) -> str:
    if not _is_path(text):
        raise ValueError("should be a file: /… or ~/…")
    return _absolute(text)


def _revision(text: str) -> str:
    if not _REVISION.fullmatch(text) or ".." in text:
        raise ValueError("should be a branch, tag or commit")
    return text


_Text = Annotated[str, Field(min_length=1, max_length=4096)]
_CardOrFile = Annotated[_Text, AfterValidator(_card_or_file)]
_Language = Annotated[str, Field(min_length=1, max_length=20)]


class BundleEntry(BaseModel):
    """The entries of a bundle's table, each with what is allowed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    generator: Annotated[_Text, AfterValidator(_directory_or_id)]
    encoder: _CardOrFile = SONAR_ENCODER
    decoder: _CardOrFile = SONAR_DECODER
    tokenizer: _CardOrFile | None = None
    architecture: _Text = DEFAULT_ARCHITECTURE
    revision: Annotated[_Text, AfterValidator(_revision)] | None = None
    language: _Language = LANGUAGE
    max_tokens: int = Field(default=512, ge=8, le=100_000)
    dimension: int | None = Field(default=None, ge=1, le=1_000_000)
    prior: Annotated[_Text, AfterValidator(_file)] | None = None
    summary: Annotated[str, Field(max_length=200)] = "from config.toml"
    licence: Annotated[str, Field(max_length=200)] = "not stated in config.toml"

    def bundle(self, name: str) -> Bundle:
        """The bundle of that name.

        A checkpoint has no tokenizer of its own: it takes that of the card beside it, else SONAR's.
        """
        parts = (self.encoder, self.decoder)
        tokenizer = self.tokenizer
        if tokenizer is None and not all(map(is_card, parts)):
            tokenizer = next(filter(is_card, parts), SONAR_ENCODER)
        values = self.model_dump(exclude={"prior", "tokenizer"})
        return Bundle(
            name=name, tokenizer=tokenizer, prior=Path(self.prior) if self.prior else None, **values
        )
