"""Bundles of the user's own in config.toml: what they say, who knows them, and what wrong ones get."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.bundles import BUNDLES, all_bundles, find_bundle
from engine.catalog.cards import CARDS, local_file, place_of
from engine.errors import UserError
from engine.mini import TOKENIZER_FILE, WEIGHTS
from engine.spec import RunSpec
from engine.tokens import check_lengths, count_tokens
from tests.bundles.conftest import configure
from tests.cli.conftest import Call
from tui.form_material import read_material

FULL = """
theme = "light"

[bundles.mine]
encoder = "/models/encoder.pt"
decoder = "my_decoder@lab"
tokenizer = "~/spm.model"
architecture = "small"
generator = "someone/sonar-llm"
revision = "v2"
language = "deu_Latn"
max_tokens = 256
dimension = 512
prior = "/models/prior.safetensors"
summary = "of the lab"
licence = "MIT"

[bundles.least]
generator = "/models/generator"
"""


def test_everything_can_be_said_and_nearly_nothing_has_to_be() -> None:
    configure(FULL)
    bundles = all_bundles()
    assert list(bundles) == [*BUNDLES, "mine", "least"]
    mine, least = bundles["mine"], bundles["least"]
    assert (mine.encoder, mine.decoder) == ("/models/encoder.pt", "my_decoder@lab")
    assert mine.tokenizer == str(Path.home() / "spm.model")
    assert (mine.architecture, mine.revision, mine.language) == ("small", "v2", "deu_Latn")
    assert (mine.max_tokens, mine.dimension, mine.prior) == (256, 512, Path("/models/prior.safetensors"))
    assert (mine.summary, mine.licence) == ("of the lab", "MIT")
    published = BUNDLES["sonar-llm-100m"]
    assert (least.encoder, least.decoder) == (published.encoder, published.decoder)
    assert (least.tokenizer, least.revision, least.max_tokens) == (None, None, 512)


def test_a_checkpoint_takes_the_tokenizer_of_the_card_beside_it() -> None:
    configure(
        '[bundles.one]\ngenerator = "/g"\nencoder = "/e.pt"\ndecoder = "sonar_mini_decoder"\n'
        '[bundles.two]\ngenerator = "/g"\nencoder = "/e.pt"\ndecoder = "/d.pt"\n'
    )
    assert find_bundle("one").tokenizer == "sonar_mini_decoder"
    assert find_bundle("one").tokenizer_model == WEIGHTS / TOKENIZER_FILE
    assert find_bundle("two").tokenizer == "text_sonar_basic_encoder"


def test_runs_form_and_command_line_know_them(call: Call, tmp_path: Path) -> None:
    configure(f'[bundles.own]\ngenerator = "/g"\ntokenizer = "{WEIGHTS / TOKENIZER_FILE}"\nmax_tokens = 8\n')
    assert count_tokens(find_bundle("own"), "I like cheese.") == count_tokens(
        BUNDLES["mini"], "I like cheese."
    )
    with pytest.raises(UserError, match=r"^target: \d+ tokens; bundle own takes at most 5$"):
        check_lengths(RunSpec(bundle="own"))
    assert read_material(tmp_path / "none.db", None, "mini").bundles[-1] == "own"
    assert "\nown: from config.toml; not stated in config.toml\n" in call("bundles").out
    answer = call("run", "--bundle", "nobodys", "--detach", "--db", tmp_path / "runs.db")
    assert answer.code == 2
    assert answer.err.endswith("sonar-llm-1.3b, own\n")
    assert not (tmp_path / "runs.db").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("bundles = 3", "bundles: should be tables, [bundles.NAME] each"),
        ("[bundles]\nown = 3", "bundles: should be tables, [bundles.NAME] each"),
        ("[bundles.mini]", "bundles.mini: a bundle of this name comes with the program; take another name"),
        ('[bundles."a b"]', "bundles.a b: a name is of letters, digits and . _ -, at most 100"),
        ("[bundles.own]", "bundles.own.generator: is missing"),
        (
            '[bundles.own]\ngenerator = "g"',
            "bundles.own.generator: 'g': should be a directory, /… or ~/…, or a Hugging Face id, owner/name",
        ),
        (
            '[bundles.own]\ngenerator = "/g"\nencoder = "./e.pt"',
            "bundles.own.encoder: './e.pt': should be a file, /… or ~/…, its address, https://…, "
            "or a fairseq2 asset card",
        ),
        (
            '[bundles.own]\ngenerator = "/g"\nmax_tokens = "512"',
            "bundles.own.max_tokens: '512': should be a valid integer",
        ),
        (
            '[bundles.own]\ngenerator = "/g"\nmax_tokens = 7',
            "bundles.own.max_tokens: 7: should be greater than or equal to 8",
        ),
        (
            '[bundles.own]\ngenerator = "/g"\nrevision = "../x"',
            "bundles.own.revision: '../x': should be a branch, tag or commit",
        ),
        (
            '[bundles.own]\ngenerator = "/g"\ndtype = "x"',
            "bundles.own.dtype: is no entry; there are generator, encoder, decoder, tokenizer, ",
        ),
    ],
)
def test_wrong_entries_get_one_line_with_file_key_and_what_is_allowed(
    text: str, line: str, call: Call, tmp_path: Path
) -> None:
    path = configure(text)
    with pytest.raises(UserError) as raised:
        find_bundle("own")
    assert str(raised.value).startswith(f"{path}: {line}")
    for arguments in (["run", "--detach"], ["bundles"], ["list"]):
        answer = call(*arguments, *(["--db", tmp_path / "runs.db"] if arguments != ["bundles"] else []))
        assert answer.code == 2
        assert answer.err.startswith(f"sonar-explore: {path}: {line}")
        assert answer.err.count("\n") == 1
    assert find_bundle("mini") is BUNDLES["mini"]


def test_a_download_is_here_when_its_folder_holds_one_file() -> None:
    address = CARDS["text_sonar_basic_encoder"].checkpoint
    assert local_file(address) is None
    place_of(address).mkdir(parents=True)
    assert local_file(address) is None
    (place_of(address) / "sonar_text_encoder.pt").write_bytes(b"weights")
    assert local_file(address) == place_of(address) / "sonar_text_encoder.pt"


def test_the_viewer_never_imports_torch_for_bundles() -> None:
    configure(FULL)
    program = (
        "import sys; from engine.bundles import all_bundles;"
        "from engine.catalog.bundle_parts import parts_of;"
        "parts_of(all_bundles()['least']); import tui.verbs.bundles, tui.bundle_lines;"
        "print([name for name in ('torch', 'fairseq2', 'sonar', 'transformers') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
