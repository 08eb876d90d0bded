"""What a bundle takes of a card, told before it is loaded, and what one that is too small gets.

There is no card here: what is asked of it is answered by a stand-in. The sizes are those of the real models.
"""

from typing import Any

import pytest
import torch

from engine.errors import UserError
from engine.models.generator import SonarLLM
from engine.models.memory import check_memory, need
from engine.models.sizes import Sizes, Stack

GIB = 2**30
CARD = torch.device("cuda:0")
LLAMA_900M = {
    "hidden_size": 1536,
    "intermediate_size": 6144,
    "num_hidden_layers": 17,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "head_dim": 64,
}


@pytest.fixture(scope="module")
def sizes() -> Sizes:
    """Of SONAR with SONAR-LLM 900M, without a weight."""
    from sonar.models.sonar_text import get_sonar_text_decoder_hub, get_sonar_text_encoder_hub

    hubs: dict[str, Any] = {"encoder": get_sonar_text_encoder_hub(), "decoder": get_sonar_text_decoder_hub()}
    models: dict[str, torch.nn.Module] = {
        part: hub.create_new_model(hub.get_arch_config("basic"), meta=True) for part, hub in hubs.items()
    }
    with torch.device("meta"):
        models["generator"] = SonarLLM(LLAMA_900M, 1024)
    return Sizes.of(models)


def test_the_parameters_are_counted_without_weights(sizes: Sizes) -> None:
    parameters = dict(sizes.parameters)
    assert parameters["decoder"] == pytest.approx(866.9e6, rel=1e-3)
    assert parameters["encoder"] == pytest.approx(767e6, rel=1e-2)
    assert parameters["generator"] == pytest.approx(699e6, rel=1e-2)
    assert (sizes.decoder, sizes.vocabulary) == (Stack(24, 1024, 8192), 256_206)
    assert sizes.generator == Stack(17, 1536, 6144)


def test_the_estimate_is_within_the_bounds_that_were_measured(sizes: Sizes) -> None:
    """10.6 GiB in float32 and 5.6 GiB in bfloat16 are the most that a run may take."""
    assert 9.5 * GIB < need(sizes, torch.float32, encoder_on_card=True).total <= 10.6 * GIB
    assert 5.0 * GIB < need(sizes, torch.bfloat16, encoder_on_card=True).total <= 5.6 * GIB
    saved = (
        need(sizes, torch.float32, encoder_on_card=True).total
        - need(sizes, torch.float32, encoder_on_card=False).total
    )
    assert saved == 4 * dict(sizes.parameters)["encoder"]


def refusal(sizes: Sizes, free: float, total: float, dtype: torch.dtype = torch.float32) -> str:
    with pytest.raises(UserError) as raised:
        check_memory(
            "sonar-llm-900m",
            sizes,
            CARD,
            dtype,
            encoder_on_card=True,
            free_and_total=lambda device: (int(free * GIB), int(total * GIB)),
        )
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_a_card_that_is_too_small_gets_the_estimate_and_what_would_fit(sizes: Sizes) -> None:
    message = refusal(sizes, 7.9, 8.0)
    assert message.startswith("memory: sonar-llm-900m in float32 takes about 10.1 GiB ")
    assert "(encoder 2.9, decoder 3.2, generator 2.6, a run 1.4)" in message
    assert "; cuda:0 has 7.9 of 8.0 GiB free: try --encoder cpu (about 7.2 GiB), or --dtype" in message
    assert "--dtype bfloat16 (about 5.4 GiB), or" in message
    assert message.endswith(", or --device cpu")
    small = refusal(sizes, 4.5, 4.6)
    assert "try --dtype bfloat16 --encoder cpu (about 4." in small
    assert "try --encoder cpu" not in small
    assert refusal(sizes, 2, 2.1).endswith("GiB free: try --device cpu")
    assert "--dtype" not in refusal(sizes, 5, 5.1, torch.bfloat16)


def test_a_card_that_others_use_is_told_from_one_that_is_small(sizes: Sizes) -> None:
    assert "has 5.0 of 80.0 GiB free; other programs and models hold 75.0: try" in refusal(sizes, 5, 80)


def test_what_is_on_the_card_already_is_not_asked_for_again(sizes: Sizes) -> None:
    def free(device: torch.device) -> tuple[int, int]:
        return 5 * GIB, 16 * GIB

    parameters = dict(sizes.parameters)
    shared = 4 * (parameters["encoder"] + parameters["decoder"])
    check_memory(
        "sonar-llm-900m",
        sizes,
        CARD,
        torch.float32,
        encoder_on_card=True,
        already=shared,
        free_and_total=free,
    )
    with pytest.raises(UserError, match=r"^memory: "):
        check_memory("sonar-llm-900m", sizes, CARD, torch.float32, encoder_on_card=True, free_and_total=free)


def test_the_cpu_is_not_asked(sizes: Sizes) -> None:
    check_memory(
        "sonar-llm-900m",
        sizes,
        torch.device("cpu"),
        torch.float32,
        encoder_on_card=True,
        free_and_total=lambda device: pytest.fail("asked"),
    )
