"""Writing and reading the weights: scaled to SONAR's numeric range, in half precision, as safetensors."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sonar.models.sonar_text import SonarTextTransformerEncoderModel
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import nn

from engine.errors import UserError
from engine.mini import DECODER_FILE, ENCODER_FILE, GENERATOR_FOLDER
from engine.mini.architecture import Sizes
from engine.mini.autoencoder import create_models
from engine.models.generator import SonarLLM

SONAR_NORM = 0.207
"""Mean L2 norm of SONAR's embeddings of simple sentences."""

_STORED_DTYPE = torch.float16


@dataclass(frozen=True)
class MiniModels:
    """The three models, in float32 and evaluation mode."""

    encoder: SonarTextTransformerEncoderModel
    decoder: ConditionalTransformerDecoderModel
    generator: SonarLLM


@torch.no_grad()
def rescale(models: MiniModels, factor: float) -> None:
    """Make every embedding `factor` times as long and change nothing else.

    The encoder ends with its final LayerNorm and a mean. The decoder reads an embedding only through the key
    and value projections of its cross-attention, the generator only through its two projections.
    """
    final_norm = models.encoder.layer_norm
    assert final_norm is not None
    for parameter in final_norm.parameters():
        parameter.mul_(factor)
    for name, parameter in models.decoder.named_parameters():
        if name.endswith(("encoder_decoder_attn.v_proj.weight", "encoder_decoder_attn.k_proj.weight")):
            parameter.div_(factor)
    models.generator.forward_proj.weight.div_(factor)
    models.generator.reverse_proj.weight.mul_(factor)
    models.generator.reverse_proj.bias.mul_(factor)


def save_half(model: nn.Module, path: Path) -> None:
    """Write a model's weights in half precision; a tied weight is written once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: weight.detach().to(_STORED_DTYPE).cpu() for name, weight in model.named_parameters()}
    if not all(torch.isfinite(weight).all() for weight in state.values()):
        raise OverflowError(f"{path.name}: a weight is too large for half precision")
    save_file(state, path, metadata={"format": "pt"})


@torch.no_grad()
def load_half(model: nn.Module, path: Path) -> None:
    """Read what `save_half` wrote.

    Raises:
        UserError: the file holds the weights of other sizes.
    """
    state = load_file(path)
    expected = dict(model.named_parameters())
    if {n: w.shape for n, w in state.items()} != {n: w.shape for n, w in expected.items()}:
        raise UserError(f"{path}: was made with other settings; delete it, or set the sizes that it has")
    for name, weight in expected.items():
        weight.copy_(state[name])


def save_models(models: MiniModels, directory: Path) -> None:
    save_half(models.encoder, directory / ENCODER_FILE)
    save_half(models.decoder, directory / DECODER_FILE)
    models.generator.to(_STORED_DTYPE).save_directory(directory / GENERATOR_FOLDER)
    models.generator.to(torch.float32)


def load_models(directory: Path, sizes: Sizes, device: torch.device) -> MiniModels:
    encoder, decoder = create_models(sizes)
    load_half(encoder, directory / ENCODER_FILE)
    load_half(decoder, directory / DECODER_FILE)
    generator = SonarLLM.from_directory(directory / GENERATOR_FOLDER, device=device)
    for model in (encoder, decoder, generator):
        model.to(device).requires_grad_(False)
    return MiniModels(encoder, decoder, generator)
