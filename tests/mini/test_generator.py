"""SONAR-LLM against transformers' own model, in the layouts that checkpoints are published in."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from engine.errors import UserError
from engine.models.generator import SonarLLM

DIM, HIDDEN = 12, 16
LLAMA: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-6,
    "rope_theta": 500_000.0,
    "rope_scaling": {
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
}


def published_weights() -> tuple[LlamaForCausalLM, dict[str, Tensor]]:
    """A random model with a token embedding and an output layer, as training saves it."""
    torch.manual_seed(0)
    llama = LlamaForCausalLM(LlamaConfig(**LLAMA, vocab_size=20)).eval()
    state = {f"llama_model.{name}": tensor for name, tensor in llama.state_dict().items()}
    for name, shape in (("forward_proj", (HIDDEN, DIM)), ("reverse_proj", (DIM, HIDDEN))):
        state[f"{name}.linear.weight"] = torch.randn(shape)
        state[f"{name}.linear.bias"] = torch.randn(shape[0])
    return llama, state


def expected_predictions(llama: LlamaForCausalLM, state: dict[str, Tensor], embeddings: Tensor) -> Tensor:
    projected = embeddings @ state["forward_proj.linear.weight"].T + state["forward_proj.linear.bias"]
    with torch.no_grad():
        hidden = llama(inputs_embeds=projected, output_hidden_states=True).hidden_states[-1]
    predictions: Tensor = hidden @ state["reverse_proj.linear.weight"].T + state["reverse_proj.linear.bias"]
    return predictions


def write(directory: Path, state: dict[str, Any], file: str, config: dict[str, Any] | None = None) -> None:
    config = config or {"llama_config": LLAMA, "embed_dim": DIM, "pretrained_model_name_or_path": "x"}
    (directory / "config.json").write_text(json.dumps(config))
    if file.endswith(".safetensors"):
        save_file({name: tensor.clone() for name, tensor in state.items()}, directory / file)
    else:
        torch.save(state, directory / file)


@pytest.mark.parametrize("layout", ["model.safetensors", "pytorch_model.bin", "training checkpoint"])
def test_predicts_what_transformers_computes(tmp_path: Path, layout: str) -> None:
    llama, state = published_weights()
    if layout == "training checkpoint":
        checkpoint = {"model_state_dict": {**state, "sonar_decoder.model.weight": torch.zeros(2)}, "epoch": 1}
        write(tmp_path, checkpoint, "pytorch_model.bin")
    else:
        write(tmp_path, state, layout)
    embeddings = torch.randn(3, 5, DIM)
    model = SonarLLM.from_directory(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(model(embeddings), expected_predictions(llama, state, embeddings))
    assert not model.training
    names = [name for name, _ in model.named_parameters()]
    assert not [name for name in names if "embed_tokens" in name or "lm_head" in name or "decoder" in name]


def test_safetensors_are_preferred(tmp_path: Path) -> None:
    llama, state = published_weights()
    write(tmp_path, {name: torch.zeros_like(tensor) for name, tensor in state.items()}, "pytorch_model.bin")
    write(tmp_path, state, "model.safetensors")
    embeddings = torch.randn(1, 2, DIM)
    with torch.no_grad():
        predictions = SonarLLM.from_directory(tmp_path)(embeddings)
    torch.testing.assert_close(predictions, expected_predictions(llama, state, embeddings))


def test_saves_the_published_layout(tmp_path: Path) -> None:
    _, state = published_weights()
    write(tmp_path, state, "pytorch_model.bin")
    SonarLLM.from_directory(tmp_path).save_directory(tmp_path / "copy")
    saved = load_file(tmp_path / "copy" / "model.safetensors")
    unused = {"llama_model.model.embed_tokens.weight", "llama_model.lm_head.weight"}
    assert saved.keys() == state.keys() - unused
    assert all(torch.equal(tensor, state[name]) for name, tensor in saved.items())
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    assert config["llama_config"] == LLAMA
    assert config["embed_dim"] == DIM


def test_weights_take_the_dtype_asked_for(tmp_path: Path) -> None:
    _, state = published_weights()
    write(tmp_path, state, "model.safetensors")
    model = SonarLLM.from_directory(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def _refusal(directory: Path) -> str:
    with pytest.raises(UserError) as raised:
        SonarLLM.from_directory(directory)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_names_the_keys_that_do_not_fit(tmp_path: Path) -> None:
    _, state = published_weights()
    del state["llama_model.model.layers.1.mlp.up_proj.weight"]
    state["llama_model.model.layers.7.mlp.up_proj.weight"] = torch.zeros(2, 2)
    state["forward_proj.linear.weight"] = torch.zeros(HIDDEN, DIM + 1)
    write(tmp_path, state, "model.safetensors")
    message = _refusal(tmp_path)
    assert str(tmp_path / "model.safetensors") in message
    assert "missing: llama_model.model.layers.1.mlp.up_proj.weight" in message
    assert "unexpected: llama_model.model.layers.7.mlp.up_proj.weight" in message
    assert "wrong shape: forward_proj.linear.weight (16, 13), not (16, 12)" in message


def test_default_embedding_dimension_is_the_published_one(tmp_path: Path) -> None:
    _, state = published_weights()
    write(tmp_path, state, "model.safetensors", {"llama_config": LLAMA})
    assert "forward_proj.linear.weight (16, 12), not (16, 1024)" in _refusal(tmp_path)


def test_refuses_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    assert "config.json: cannot be read" in _refusal(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "not JSON" in _refusal(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert "llama_config" in _refusal(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"llama_config": {**LLAMA, "hidden_size": "wide"}}))
    assert "not a usable configuration" in _refusal(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"llama_config": LLAMA, "embed_dim": DIM}))
    assert "holds no weights" in _refusal(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"no weights")
    assert "pytorch_model.bin: cannot be read as weights" in _refusal(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    assert "model.safetensors: cannot be read as weights" in _refusal(tmp_path)
