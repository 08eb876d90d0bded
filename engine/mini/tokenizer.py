"""The SentencePiece tokenizer: training it, and ids as `load_nllb_tokenizer` numbers them."""

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from engine.mini.architecture import BEGIN, END, UNKNOWN

_PAD_SHIFT = 1
"""`load_nllb_tokenizer` inserts `<pad>` at id 0, so every piece moves up by one."""


def train_tokenizer(sentences: Iterable[str], pieces: int, path: Path) -> None:
    """Train a unigram model whose control symbols end up at the ids of `architecture`.

    'identity' normalisation, because what is decoded is compared with the text as it was typed.
    """
    model = BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        model_type="unigram",
        vocab_size=pieces,
        character_coverage=1.0,
        normalization_rule_name="identity",
        unk_id=UNKNOWN - _PAD_SHIFT,
        bos_id=BEGIN - _PAD_SHIFT,
        eos_id=END - _PAD_SHIFT,
        pad_id=-1,
        hard_vocab_limit=False,
        num_threads=2,
        minloglevel=1,
    )
    path.write_bytes(model.getvalue())


class Tokenizer:
    """Texts to the ids that the models are fed, without control symbols, and back."""

    def __init__(self, path: Path) -> None:
        self._processor = SentencePieceProcessor(model_file=str(path))

    @property
    def pieces(self) -> int:
        return int(self._processor.get_piece_size())

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        encoded = self._processor.encode(list(sentences), num_threads=2)
        return [[piece + _PAD_SHIFT for piece in ids] for ids in encoded]

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._processor.decode(
            [token - _PAD_SHIFT for token in ids if END < token <= self.pieces]
        )
        return text
