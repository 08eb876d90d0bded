"""Loading: what bad input and a missing network get. Loading itself is tested on the embedded models."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.errors import UserError
from engine.models.loading import find_device, load_bundle

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "device", "dtype", "message"),
    [
        ("huge", "cpu", "float32", r"^bundle: 'huge' is unknown; there are mini, .*"),
        ("mini", "cpu", "float16", r"^dtype: 'float16' is unknown; there are float32, bfloat16$"),
        ("mini", "cuda:99", "float32", r"^device: cuda:99 cannot be used; there are auto, cpu"),
        ("mini", "tpu", "float32", r"^device: tpu cannot be used; there are auto, cpu"),
    ],
)
def test_what_is_not_there_is_named(name: str, device: str, dtype: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_bundle(name, device=device, dtype=dtype)


def test_auto_is_cuda_where_there_is_one() -> None:
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto") == torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


UNREACHABLE = """
import sys
from dataclasses import replace
from pathlib import Path

from engine.bundles import BUNDLES
from engine.errors import UserError
from engine.models.loading import load_bundle
from tests.engine.toy import sentencepiece_model

def message(name):
    try:
        load_bundle(name)
    except UserError as error:
        return str(error)

print(message("sonar-llm-100m"))
BUNDLES["local"] = replace(BUNDLES["sonar-llm-100m"], generator="/nowhere")
print(message("local"))
generator = Path(sys.argv[1])
generator.mkdir()
for name in ("config.json", "model.safetensors"):
    (generator / name).touch()
BUNDLES["local"] = replace(BUNDLES["sonar-llm-100m"], generator=str(generator))
print(message("local"))
place = Path(message("local").rpartition("put it into ")[2])
place.mkdir(parents=True)
(place / "sentencepiece.source.256000.model").write_bytes(sentencepiece_model())
print(message("local"))
"""


def test_without_a_network_it_says_what_to_put_where(tmp_path: Path) -> None:
    """In a process whose every proxy is a closed port; the tokenizer, put where it says, is then found."""
    closed = "http://127.0.0.1:9"
    environment = {
        **os.environ,
        "http_proxy": closed,
        "https_proxy": closed,
        "no_proxy": "",
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "FAIRSEQ2_CACHE_DIR": str(tmp_path / "fairseq2"),
    }
    result = subprocess.run(
        [sys.executable, "-c", UNREACHABLE, str(tmp_path / "generator")],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    generator, path, tokenizer, encoder = result.stdout.splitlines()
    assert generator.startswith("generator: raxtemur/sonar-llm-100m is neither here nor within reach")
    assert generator.endswith(str(tmp_path / "hub" / "models--raxtemur--sonar-llm-100m"))
    assert path == "generator: /nowhere: no such directory"
    assert tokenizer.startswith(
        "tokenizer: https://dl.fbaipublicfiles.com/SONAR/sentencepiece.source.256000.model is neither here"
    )
    assert str(tmp_path / "fairseq2") in tokenizer
    assert encoder.startswith("encoder: https://dl.fbaipublicfiles.com/SONAR/sonar_text_encoder.pt")
