"""`bundles fetch` and `bundles check` as a user calls them, with a server of weights on this machine.

What is served are the embedded models in the published formats, so that what is loaded from the caches has to
speak as they do.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.catalog.downloads import shown_bytes
from engine.mini import DECODER_FILE, ENCODER_FILE, GENERATOR_FOLDER, TOKENIZER_FILE, WEIGHTS
from tests.bundles.conftest import configure
from tests.bundles.file_server import COMMIT, FileServer
from tests.cli.conftest import run_program

MINI_DIGEST = "72f812e7d476e1dbc40dc98a3050ff9513e487d31308ee10beddc48977bef3a4"
CHUNK = 10 * 2**20
"""What huggingface_hub writes at once; what breaks off within one is lost."""

BREAK = 12_000_000
CONFIG = """
[bundles.served]
encoder = "{address}/encoder.pt"
decoder = "{address}/decoder.pt"
tokenizer = "{address}/tokenizer.model"
architecture = "mini"
generator = "someone/served"
max_tokens = 128
"""


@pytest.fixture
def served(server: FileServer, tmp_path: Path) -> FileServer:
    """The embedded models: encoder and decoder by their addresses, the generator from the hub."""
    for file, name in ((ENCODER_FILE, "encoder.pt"), (DECODER_FILE, "decoder.pt")):
        torch.save({"model": load_file(WEIGHTS / file)}, tmp_path / name)
        server.files[f"/{name}"] = (tmp_path / name).read_bytes()
    server.files["/tokenizer.model"] = (WEIGHTS / TOKENIZER_FILE).read_bytes()
    server.repositories["someone/served"] = sharded_generator(tmp_path)
    configure(CONFIG.format(address=server.address))
    return server


def sharded_generator(folder: Path) -> dict[str, bytes]:
    """The embedded generator in two files with an index, beside a pickle that must not be fetched."""
    tensors = load_file(WEIGHTS / GENERATOR_FOLDER / "model.safetensors")
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[:2], "model-00002-of-00002.safetensors": names[2:]}
    files = {"pytorch_model.bin": b"not to be read", "README.md": b"# served"}
    for file, inside in shards.items():
        save_file({name: tensors[name] for name in inside}, folder / file)
        files[file] = (folder / file).read_bytes()
    index = {"weight_map": {name: file for file, inside in shards.items() for name in inside}}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    files["config.json"] = (WEIGHTS / GENERATOR_FOLDER / "config.json").read_bytes()
    return files


def test_what_was_interrupted_goes_on_and_is_then_loaded_without_a_network(
    served: FileServer, tmp_path: Path
) -> None:
    shard = "model-00002-of-00002.safetensors"
    served.breaks_off = {"encoder.pt": BREAK, shard: BREAK}
    online = {"HF_ENDPOINT": served.address}
    broken = run_program("bundles", "fetch", "served", environment=online)
    assert broken.returncode == 2
    last = broken.stderr.splitlines()[-1]
    assert f"encoder: {served.address}/encoder.pt: " in last
    assert "10.5 MB of it are here" in last
    assert "; generator: someone/served is neither here nor within reach" in last
    assert [line.split()[0] for line in broken.stdout.splitlines()] == ["decoder", "tokenizer"]
    listed = run_program("bundles").stdout.splitlines()
    assert "not here; 10.5 MB of it fetched" in next(line for line in listed if "/encoder.pt" in line)

    fetched = run_program("bundles", "fetch", "served", environment=online)
    assert fetched.returncode == 0, fetched.stderr
    assert ("encoder.pt", f"bytes={CHUNK}-") in served.ranges
    assert (shard, f"bytes={CHUNK}-") in served.ranges
    assert not [name for name, _ in served.ranges if name in ("pytorch_model.bin", "README.md")]
    for line, name in zip(
        fetched.stdout.splitlines(), ("encoder", "decoder", "tokenizer", "generator"), strict=True
    ):
        assert line.startswith(name)
        assert str(tmp_path) in line
    assert COMMIT in fetched.stdout
    assert "100%" in fetched.stderr

    asked = len(served.ranges)
    listed = run_program("bundles", "list", "--format", "jsonl").stdout.splitlines()
    bundle = json.loads(listed[-1])
    assert bundle["name"] == "served"
    for part, source in zip(
        bundle["parts"], ("/encoder.pt", "/decoder.pt", "/tokenizer.model", None), strict=True
    ):
        assert Path(part["path"]).exists()
        if source:
            assert part["bytes"] == len(served.files[source])
            assert Path(part["path"]).read_bytes() == served.files[source]

    offline = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    report = run_program("bundles", "check", "served", "--format", "json", environment=offline)
    assert report.returncode == 0, report.stderr
    assert "downloading" not in report.stderr
    found = json.loads(report.stdout)
    assert found["digest"] == MINI_DIGEST
    assert [trip["came_back"] for trip in found["round_trips"]] == [
        trip["text"] for trip in found["round_trips"]
    ]
    assert len(found["round_trips"]) == 10
    assert len(served.ranges) == asked


def test_a_file_that_has_changed_meanwhile_is_fetched_from_its_beginning(served: FileServer) -> None:
    served.breaks_off = {"encoder.pt": BREAK}
    online = {"HF_ENDPOINT": served.address}
    assert run_program("bundles", "fetch", "served", environment=online).returncode == 2
    served.files["/encoder.pt"] = served.files["/encoder.pt"][::-1]
    fetched = run_program("bundles", "fetch", "served", environment=online)
    assert fetched.returncode == 0, fetched.stderr
    path = Path(fetched.stdout.splitlines()[0].split()[1])
    assert path.read_bytes() == served.files["/encoder.pt"]
    assert ("encoder.pt", f"bytes={CHUNK}-") not in served.ranges


@pytest.mark.usefixtures("served")
def test_offline_it_says_what_is_missing_and_where_to_put_it(tmp_path: Path) -> None:
    answer = run_program("bundles", "fetch", "served", environment={"HF_HUB_OFFLINE": "1"})
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert "encoder: http://127.0.0.1:" in line
    assert "HF_HUB_OFFLINE is set" in line
    assert f"put it into {tmp_path / 'fairseq2'}" in line
    for part in ("decoder", "generator"):  # what is missing besides is said at once
        assert f"; {part}: " in line


@pytest.mark.parametrize("verb", ["fetch", "check"])
def test_paths_that_are_missing_are_said_before_anything_is_fetched(served: FileServer, verb: str) -> None:
    configure(
        f'[bundles.served]\nencoder = "{served.address}/encoder.pt"\ndecoder = "/gone.pt"\n'
        'generator = "/gone"\narchitecture = "mini"\n'
    )
    answer = run_program("bundles", verb, "served")
    assert answer.returncode == 2
    assert answer.stderr == (
        "sonar-explore: decoder: /gone.pt: no such file; generator: /gone: no such directory\n"
    )
    assert (answer.stdout, served.ranges) == ("", [])


def test_a_revision_is_fetched_beside_the_main_branch(served: FileServer, tmp_path: Path) -> None:
    configure(
        '[bundles.served]\nencoder = "sonar_mini_encoder"\ndecoder = "sonar_mini_decoder"\n'
        'generator = "someone/served"\n'
    )
    online = {"HF_ENDPOINT": served.address}
    answer = run_program("bundles", "fetch", "served", "--revision", "v2", environment=online)
    assert answer.returncode == 0, answer.stderr
    assert 'revision = "v2"' in answer.stdout
    assert (tmp_path / "hub" / "models--someone--served" / "refs" / "v2").read_text() == COMMIT
    missing = run_program("bundles", "fetch", "served", "--revision", "v3", environment=online)
    assert missing.returncode == 2
    assert missing.stderr == "sonar-explore: generator: someone/served has no revision 'v3'\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fetch", "huge"], "bundle: 'huge' is unknown; there are mini, sonar-llm-100m, "),
        (["check", "huge"], "bundle: 'huge' is unknown; there are mini, sonar-llm-100m, "),
        (["fetch", "mini", "--revision", "v2"], "--revision: the generator of mini is a directory, "),
        (["check", "mini", "--dtype", "int8"], "dtype: 'int8': should be 'float32' or 'bfloat16'"),
        (["check", "mini", "--encoder", "disk"], "encoder: 'disk': should be 'device' or 'cpu'"),
        (["--format", "jsonl", "list"], "bundles: --format goes behind list"),
    ],
)
def test_bad_arguments_get_one_line(arguments: list[str], line: str) -> None:
    answer = run_program("bundles", *arguments)
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1].startswith(f"sonar-explore: {line}")
    assert "Traceback" not in answer.stderr


def test_a_card_of_ones_own_is_known_by_its_name(server: FileServer) -> None:
    card = {
        "name": "my_decoder",
        "model_family": "transformer_decoder",
        "model_arch": "mini",
        "checkpoint": f"{server.address}/decoder.pt",
    }
    assets = Path(os.environ["XDG_CONFIG_HOME"]) / "fairseq2" / "assets"
    assets.mkdir(parents=True)
    (assets / "mine.yaml").write_text(json.dumps(card))
    configure('[bundles.mine]\ndecoder = "my_decoder"\ngenerator = "someone/served"\n')
    answer = run_program("bundles", "--format", "jsonl")
    assert answer.returncode == 0, answer.stderr
    decoder = json.loads(answer.stdout.splitlines()[-1])["parts"][1]
    assert decoder["address"] == f"{server.address}/decoder.pt"
    assert decoder["path"] is None


_TELLING = """
import sys
from threading import current_thread, main_thread
from engine.catalog.downloads import fetch_file, fetch_generator

def tell(line):
    assert current_thread() is main_thread()  # the only one that a worker's database takes
    print(line)

for _ in range(2):  # the second time it is here, and there is nothing to tell
    fetch_file("encoder", sys.argv[1], progress=tell)
print(fetch_generator("someone/served", None, progress=tell))
"""


def test_who_waits_for_a_download_is_told_how_far_it_is(served: FileServer) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", _TELLING, f"{served.address}/encoder.pt"],
        env=os.environ | {"HF_ENDPOINT": served.address},
        capture_output=True,
        text=True,
        check=True,
    )
    *told, directory = answer.stdout.splitlines()
    encoder = len(served.files["/encoder.pt"])
    generator = sum(path.stat().st_size for path in Path(directory).iterdir())
    assert told[0] == f"downloading encoder: 0% of {shown_bytes(encoder)}"
    first_of_generator = told.index(f"downloading generator: 0% of {shown_bytes(generator)}")
    assert all(line.startswith("downloading encoder: ") for line in told[:first_of_generator])
    assert all(line.startswith("downloading generator: ") for line in told[first_of_generator:])
    assert len(told) < 10
