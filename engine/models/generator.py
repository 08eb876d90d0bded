"""SONAR-LLM: a causal language model whose tokens are sentence embeddings."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from engine.catalog.generator_files import CONFIG_FILE, SAFETENSORS_FILE, weight_files
from engine.errors import UserError
from engine.models.weights import Weights, check_weights, fill, read_weights

PUBLISHED_EMBEDDING_DIM = 1024

# Prefix of a published key -> prefix of the parameter here.
_PUBLISHED_PREFIXES = {
    "forward_proj.linear.": "forward_proj.",
    "llama_model.model.": "llama.",
    "reverse_proj.linear.": "reverse_proj.",
}
# What a checkpoint may hold besides: the token side of the language model, which embeddings in and
# embeddings out never use, and the frozen SONAR models it was trained with.
_UNUSED_PREFIXES = ("llama_model.model.embed_tokens.", "llama_model.lm_head.", "sonar_decoder.", "encoder.")
_UNUSED_SUFFIX = ".rotary_emb.inv_freq"


class SonarLLM(nn.Module):
    """Predicts the embedding of each next sentence from the embeddings of the sentences so far.

    A projection, a causal Llama on `inputs_embeds`, and a projection back. The token embedding and the
    output layer of the language model are not kept.
    """

    def __init__(
        self, llama_config: Mapping[str, Any], embedding_dim: int, *, add_begin: bool = False
    ) -> None:
        """Args:
        llama_config: the arguments of transformers' `LlamaConfig`.
        embedding_dim: D, the dimension of a sentence embedding.
        add_begin: the model was trained on texts that start with the sentence "Begin of text."
        """
        super().__init__()
        # An embedding of one token: LlamaModel wants one while it is made, and it is dropped right after.
        config = LlamaConfig(**{**llama_config, "vocab_size": 1, "pad_token_id": None, "use_cache": False})
        self.llama_config = dict(llama_config)
        self.embedding_dim = embedding_dim
        self.add_begin = add_begin
        self.forward_proj = nn.Linear(embedding_dim, config.hidden_size)
        self.llama = LlamaModel(config)
        self.llama.embed_tokens = None
        self.reverse_proj = nn.Linear(config.hidden_size, embedding_dim)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Predict: position t of the result is the embedding of sentence t + 1.

        Args:
            embeddings: (B, T, D), the sentences so far.

        Returns:
            (B, T, D)
        """
        hidden = self.forward_proj(embeddings)  # (B, T, H)
        length = hidden.shape[1]
        # The causal mask, given ready: transformers takes longer to derive it than a small model to run.
        mask = hidden.new_full((length, length), -torch.inf).triu(1).expand(1, 1, length, length)
        hidden = self.llama(inputs_embeds=hidden, attention_mask=mask).last_hidden_state
        prediction: Tensor = self.reverse_proj(hidden)
        return prediction

    @classmethod
    def from_directory(
        cls,
        path: Path,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Load a checkpoint in the published layout, in evaluation mode.

        Args:
            path: holds `config.json` and `model.safetensors`, or several such files and their index, or else
                `pytorch_model.bin`.
            device: where to put it.
            dtype: of the weights.

        Raises:
            UserError: a file is missing or unreadable, or weights are missing, unexpected or wrongly shaped.
        """
        model, weights = cls.open_directory(path)
        model.load(weights, device=torch.device(device), dtype=dtype)
        return model.eval()

    @classmethod
    def open_directory(cls, path: Path) -> tuple[Self, Weights]:
        """A checkpoint's model on the meta device, and the weights that `load` puts into it; nothing is read.

        Raises:
            UserError: as `from_directory`.
        """
        config = _read_config(path / CONFIG_FILE)
        try:
            with torch.device("meta"):
                model = cls(
                    config["llama_config"],
                    config.get("embed_dim", PUBLISHED_EMBEDDING_DIM),
                    add_begin=config.get("add_begin", False),
                )
        except Exception as error:  # transformers raises what it likes for a configuration it cannot use
            raise UserError(
                f"{path / CONFIG_FILE}: not a usable configuration: {_one_line(error)}"
            ) from error
        published = read_weights(weight_files(path))
        tensors = _rename_published(published.tensors)
        weights_path = published.files[0] if len(published.files) == 1 else path
        check_weights(weights_path, tensors, model, called=_published_name)
        return model, replace(published, tensors=tensors)

    def load(self, weights: Weights, *, device: torch.device, dtype: torch.dtype) -> None:
        """Fill a model on the meta device."""
        fill(self, weights.tensors, device=device, dtype=dtype)
        self.llama.rotary_emb = LlamaRotaryEmbedding(self.llama.config).to(device)

    def save_directory(self, path: Path) -> None:
        """Write `config.json` and `model.safetensors` in the published layout, in the weights' own dtype."""
        path.mkdir(parents=True, exist_ok=True)
        config = {
            "llama_config": self.llama_config,
            "embed_dim": self.embedding_dim,
            "add_begin": self.add_begin,
        }
        (path / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_file(
            {_published_name(name): tensor.contiguous().cpu() for name, tensor in self.state_dict().items()},
            path / SAFETENSORS_FILE,
            metadata={"format": "pt"},
        )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {_one_line(error)}") from error
    if not isinstance(config, dict) or not isinstance(config.get("llama_config"), dict):
        raise UserError(f"{path}: the key llama_config is missing: expected a SONAR-LLM configuration")
    return config


def _rename_published(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published names to the names here; what is never used is left out, unknown names stay as they are."""
    state = {}
    for name, tensor in published.items():
        if name.startswith(_UNUSED_PREFIXES) or name.endswith(_UNUSED_SUFFIX):
            continue
        for there, here in _PUBLISHED_PREFIXES.items():
            if name.startswith(there):
                name = here + name.removeprefix(there)
                break
        state[name] = tensor
    return state


def _published_name(name: str) -> str:
    for there, here in _PUBLISHED_PREFIXES.items():
        if name.startswith(here):
            return there + name.removeprefix(here)
    return name


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
