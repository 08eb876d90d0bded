"""Checkpoints in the formats that are published: what is loaded from them, and what is refused."""

import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.bundles import find_bundle
from engine.catalog.cards import CARDS, cache_directory
from engine.errors import UserError
from engine.mini import DECODER_FILE, ENCODER_FILE, GENERATOR_FOLDER, TOKENIZER_FILE, WEIGHTS
from engine.models.loading import LoadedBundle, load_bundle
from tests.bundles.conftest import configure

GENERATOR = WEIGHTS / GENERATOR_FOLDER

_OLD_NAMES = {
    r"decoder\.layers\.(\d+)\.encoder_decoder_attn\.output_proj\.": r"layers.\1.encoder_attn.out_proj.",
    r"decoder\.layers\.(\d+)\.encoder_decoder_attn\.": r"layers.\1.encoder_attn.",
    r"decoder\.layers\.(\d+)\.encoder_decoder_attn_layer_norm\.": r"layers.\1.encoder_attn_layer_norm.",
    r"decoder\.layers\.(\d+)\.self_attn\.output_proj\.": r"layers.\1.self_attn.out_proj.",
    r"decoder\.layers\.(\d+)\.self_attn": r"layers.\1.self_attn",
    r"decoder\.layers\.(\d+)\.ffn\.inner_proj\.": r"layers.\1.fc1.",
    r"decoder\.layers\.(\d+)\.ffn\.output_proj\.": r"layers.\1.fc2.",
    r"decoder\.layers\.(\d+)\.ffn_layer_norm\.": r"layers.\1.final_layer_norm.",
    r"decoder\.layer_norm\.": "layer_norm.",
    r"decoder_frontend\.embed\.": "embed_tokens.",
}
"""Names of fairseq2 -> those of the checkpoints that SONAR was published with."""


def old_decoder() -> dict[str, Any]:
    """The embedded decoder as SONAR's published decoder is: other names, other control tokens, tied twice."""
    state: dict[str, Tensor] = {}
    for name, tensor in load_file(WEIGHTS / DECODER_FILE).items():
        for pattern, old in _OLD_NAMES.items():
            name, count = re.subn(f"^{pattern}", old, name)
            if count:
                break
        state[name] = tensor
    embedding = state["embed_tokens.weight"].clone()
    embedding[[1, 3, 0, 2]] = state["embed_tokens.weight"][[0, 1, 2, 3]]
    tied = {"embed_tokens.weight": embedding, "output_projection.weight": embedding}
    others = {"version": torch.tensor([3.0]), "embed_positions._float_tensor": torch.zeros(1)}
    return {"state_dict": state | tied | others}


@pytest.fixture
def mini() -> LoadedBundle:
    return load_bundle("mini", device="cpu")


def described(**entries: object) -> None:
    """Write a bundle `own` of the embedded models, with other parts where `entries` name them."""
    parts: dict[str, object] = {
        "encoder": "sonar_mini_encoder",
        "decoder": "sonar_mini_decoder",
        "generator": str(GENERATOR),
        "tokenizer": str(WEIGHTS / TOKENIZER_FILE),
        "architecture": "mini",
        "max_tokens": 128,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in (parts | entries).items()]
    configure("\n".join(["[bundles.own]", *lines]))


def refusal() -> str:
    with pytest.raises(UserError) as raised:
        load_bundle("own", device="cpu")
    message = str(raised.value)
    assert "\n" not in message
    return message


def _saved(state: object) -> Callable[[Path], None]:
    return lambda path: torch.save(state, path)


def test_a_decoder_as_sonars_was_published_says_the_same(mini: LoadedBundle, tmp_path: Path) -> None:
    torch.save(old_decoder(), tmp_path / "decoder.pt")
    described(decoder=str(tmp_path / "decoder.pt"))
    own = load_bundle("own", device="cpu")
    assert own.digest == mini.digest
    assert own.encoder is mini.encoder
    assert own.decoder is not mini.decoder
    decoder: Any = own.decoder
    assert decoder.final_proj.weight is decoder.decoder_frontend.embed.weight
    embeddings, targets = mini.encode(["I like cheese."]), mini.targets(["Tom had a red ball."])
    assert torch.equal(own.logits(embeddings, targets), mini.logits(embeddings, targets))


def test_local_files_make_the_same_bundle_whatever_they_are_saved_as(
    mini: LoadedBundle, tmp_path: Path
) -> None:
    encoder = {name: tensor.float() for name, tensor in load_file(WEIGHTS / ENCODER_FILE).items()}
    torch.save({"model": encoder}, tmp_path / "encoder.pt")
    torch.save(encoder, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    for file in ("encoder.pt", "legacy.pt"):
        described(encoder=str(tmp_path / file))
        own = load_bundle("own", device="cpu", dtype="bfloat16")
        assert own.digest == mini.digest
        assert own.encoder is not mini.encoder
        assert {weight.dtype for weight in own.encoder.parameters()} == {torch.bfloat16}
        for weight, exact in zip(own.encoder.parameters(), mini.encoder.parameters(), strict=True):
            assert torch.equal(weight, exact.bfloat16())
        assert {buffer.dtype for buffer in own.encoder.buffers()} <= {torch.float32}


def test_a_generator_in_several_files_is_one(mini: LoadedBundle, tmp_path: Path) -> None:
    tensors = load_file(GENERATOR / "model.safetensors")
    names = sorted(tensors)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, inside in halves.items():
        save_file({name: tensors[name] for name in inside}, tmp_path / file)
    (tmp_path / "config.json").write_bytes((GENERATOR / "config.json").read_bytes())
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"weight_map": {name: file for file, inside in halves.items() for name in inside}})
    )
    described(generator=str(tmp_path))
    assert load_bundle("own", device="cpu", dtype="bfloat16").digest == mini.digest
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    line = f"{tmp_path}: model-00002-of-00002.safetensors missing, which {index.name} names"
    assert refusal() == f"generator: {line}"
    index.write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    assert refusal() == f"generator: {index}: should name safetensors files beside it"
    index.write_text("{")
    assert refusal() == f"generator: {index}: not an index of safetensors files"


def test_a_changed_weight_is_another_digest_though_the_file_has_its_name(tmp_path: Path) -> None:
    tensors = load_file(WEIGHTS / ENCODER_FILE)
    digests: list[str] = []
    for _ in range(2):
        tensors["layer_norm.bias"] = tensors["layer_norm.bias"] + 1
        save_file(tensors, tmp_path / "encoder.safetensors")
        described(encoder=str(tmp_path / "encoder.safetensors"), summary=f"{len(digests)}")
        digests.append(load_bundle("own", device="cpu").digest)
    assert len(set(digests)) == 2


def test_keys_that_do_not_fit_are_named(tmp_path: Path) -> None:
    tensors = load_file(WEIGHTS / ENCODER_FILE)
    del tensors["encoder.layers.1.ffn.inner_proj.bias"]
    tensors["encoder.layers.9.ffn.inner_proj.bias"] = torch.zeros(2)
    tensors["layer_norm.bias"] = torch.zeros(3)
    save_file(tensors, tmp_path / "encoder.safetensors")
    described(encoder=str(tmp_path / "encoder.safetensors"))
    message = refusal()
    assert message.startswith(f"{tmp_path / 'encoder.safetensors'}: the weights do not fit")
    assert "missing: encoder.layers.1.ffn.inner_proj.bias;" in message
    assert "unexpected: encoder.layers.9.ffn.inner_proj.bias;" in message
    assert "wrong shape: layer_norm.bias (3,), not (384,)" in message


class _Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


@pytest.mark.parametrize("part", ["encoder", "decoder", "generator"])
def test_nothing_in_a_file_is_ever_run(part: str, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    if part == "generator":
        (tmp_path / "config.json").write_bytes((GENERATOR / "config.json").read_bytes())
        torch.save({"weight": _Trap(trap)}, tmp_path / "pytorch_model.bin")
        described(generator=str(tmp_path))
    else:
        torch.save({"model": {"weight": _Trap(trap)}}, tmp_path / "model.pt")
        described(**{part: str(tmp_path / "model.pt")})
    assert str(tmp_path) in refusal()
    assert not trap.exists()


def test_files_that_are_no_checkpoint_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    described(decoder=str(path))
    assert refusal() == f"decoder: {path}: no such file"
    path.write_bytes(b"no weights")
    assert re.match(rf"decoder: .*{path}", refusal())
    path.write_bytes(pickle.dumps({"weights": 1}, protocol=2))
    assert re.match(rf"decoder: .*{path}", refusal())
    torch.save({"weights": torch.zeros(1)}, path)
    assert refusal() == f"decoder: {path}: is no checkpoint of a SONAR decoder"
    torch.save({"model": load_file(WEIGHTS / DECODER_FILE)}, path)
    path.write_bytes(path.read_bytes()[:-1_000_000])
    assert re.match(rf"decoder: .*{path}", refusal())


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        ({"decoder": "no_such_card"}, "decoder: there is no fairseq2 asset card 'no_such_card'"),
        ({"tokenizer": "/nowhere.model"}, "tokenizer: /nowhere.model: no such file"),
        (
            {"encoder": str(WEIGHTS / ENCODER_FILE), "architecture": "huge"},
            "encoder: architecture 'huge' is unknown; there are basic, mini",
        ),
        (
            {"max_tokens": 9999},
            "bundle: own: max_tokens 9999; the encoder takes at most ",
        ),
        (
            {"prior": "/nowhere.safetensors", "generator": "/nowhere"},
            "generator: /nowhere: no such directory",
        ),
        ({"generator": str(WEIGHTS)}, f"generator: {WEIGHTS / 'config.json'}: no such file"),
    ],
)
def test_parts_that_cannot_be_loaded_are_named(entries: dict[str, object], line: str) -> None:
    described(**entries)
    assert refusal().startswith(line)


def test_every_path_that_is_missing_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((GENERATOR / "config.json").read_bytes())
    described(decoder="/gone.pt", tokenizer="/gone.model", generator=str(tmp_path))
    said: list[str] = []
    with pytest.raises(UserError) as raised:
        load_bundle("own", device="cpu", progress=said.append)
    assert str(raised.value) == (
        "decoder: /gone.pt: no such file; tokenizer: /gone.model: no such file; generator: "
        f"{tmp_path}: holds no weights: expected model.safetensors or pytorch_model.bin"
    )
    assert said == []


def test_a_download_is_spoken_of_only_where_there_may_be_one() -> None:
    said: list[str] = []
    described(max_tokens=127)  # no other test has loaded this one
    load_bundle("own", device="cpu", progress=said.append)
    assert said == ["loading tokenizer", "loading encoder", "loading decoder", "loading generator"]
    said.clear()
    described(decoder="no_such_card")
    with pytest.raises(UserError):
        load_bundle("own", device="cpu", progress=said.append)
    assert said == ["loading tokenizer", "finding decoder, or downloading it"]


def test_parts_of_several_dimensions_do_not_belong_together(tmp_path: Path) -> None:
    config = json.loads((GENERATOR / "config.json").read_text())
    tensors = load_file(GENERATOR / "model.safetensors")
    hidden = tensors["forward_proj.linear.weight"].shape[0]
    tensors["forward_proj.linear.weight"] = torch.zeros(hidden, 12)
    tensors["reverse_proj.linear.weight"] = torch.zeros(12, hidden)
    tensors["reverse_proj.linear.bias"] = torch.zeros(12)
    (tmp_path / "config.json").write_text(json.dumps(config | {"embed_dim": 12}))
    save_file(tensors, tmp_path / "model.safetensors")
    described(generator=str(tmp_path))
    assert refusal().endswith("dimensions: encoder 384, decoder 384, generator 12")


def test_the_encoder_can_stay_on_the_cpu(mini: LoadedBundle) -> None:
    """Where the rest is on the CPU too, nothing is loaded twice."""
    apart = load_bundle("mini", device="cpu", encoder="cpu")
    assert apart.encoder_device == torch.device("cpu")
    assert apart.encoder is mini.encoder
    with pytest.raises(UserError, match=r"^encoder: 'disk' is unknown; there are device, cpu$"):
        load_bundle("mini", device="cpu", encoder="disk")


def test_the_bundle_is_read_again_when_its_description_has_changed(tmp_path: Path) -> None:
    described()
    first = load_bundle("own", device="cpu")
    described(max_tokens=64)
    second = load_bundle("own", device="cpu")
    assert (first.bundle.max_tokens, second.bundle.max_tokens) == (128, 64)
    assert second.bundle == find_bundle("own")
    assert second.encoder is first.encoder


def test_what_is_known_of_cards_without_fairseq2_is_what_it_says() -> None:
    """Addresses, and the folder of downloads."""
    from fairseq2.assets import get_asset_store
    from fairseq2.assets.dirs import AssetDirectoryAccessor
    from fairseq2.runtime.dependency import get_dependency_resolver

    directories: AssetDirectoryAccessor = get_dependency_resolver().resolve(AssetDirectoryAccessor)  # type: ignore[type-abstract]
    assert cache_directory() == directories.get_cache_dir()
    for name, card in CARDS.items():
        for field in ("checkpoint", "tokenizer"):
            uri = get_asset_store().retrieve_card(name).field(field).as_uri()
            assert str(uri).removeprefix("file://") == getattr(card, field)
