"""The models at speed against the models as their authors wrote them: values and gradients."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engine.fast import reference
from engine.fast.generator import FastGenerator
from engine.fast.joined import joined
from engine.models.generator import SonarLLM
from engine.models.loaded import LoadedBundle
from engine.models.loading import load_bundle
from tests.engine.toy import DIM, HIDDEN, toy_bundle

SHORT = "I like cheese."
LONG = "Once upon a time, there was a little girl named Lily."
TEXTS = {"one": (LONG,), "alike": (SHORT, SHORT), "padded": (SHORT, LONG, "Tom had a red ball.")}


@pytest.fixture(scope="module", params=["toy", "mini"])
def models(request: pytest.FixtureRequest, bundle: LoadedBundle) -> LoadedBundle:
    """Random models and trained ones, float32."""
    return bundle if request.param == "toy" else load_bundle("mini", device="cpu")


def random(*shape: int, bundle: LoadedBundle, seed: int = 0) -> Tensor:
    """Embeddings of the length of a sentence's. # (…, D)"""
    drawn = torch.randn(*shape, bundle.dim, generator=torch.Generator().manual_seed(seed))
    scaled: Tensor = drawn / drawn.norm(dim=-1, keepdim=True) * bundle.embedding_norm
    return scaled


def with_gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """A function's value, and the gradient of the value's product with fixed random numbers."""
    where = at.clone().requires_grad_()
    value = function(where)
    direction = torch.randn(value.shape, generator=torch.Generator().manual_seed(1)).to(value.dtype)
    (gradient,) = torch.autograd.grad((value * direction).sum(), where)
    return value.detach(), gradient


def assert_alike(fast: Tensor, slow: Tensor, *, relative: float) -> None:
    """No value is off by more than a share of the largest."""
    assert fast.dtype == slow.dtype
    assert fast.shape == slow.shape
    assert (fast - slow).abs().max().item() <= relative * slow.abs().max().item()


def assert_both_alike(fast: tuple[Tensor, Tensor], slow: tuple[Tensor, Tensor]) -> None:
    """Values, and gradients: those of the random models are steep, and round more."""
    assert_alike(fast[0], slow[0], relative=1e-5)
    assert_alike(fast[1], slow[1], relative=5e-5)


@pytest.mark.parametrize(("texts", "sentences"), [(1, 1), (5, 1), (1, 4), (3, 2)])
def test_predictions_and_their_gradients(models: LoadedBundle, texts: int, sentences: int) -> None:
    z = random(texts, sentences, bundle=models)
    fast, slow = (
        with_gradient(function, z)
        for function in (models.predict_each, lambda z: reference.predict_each(models, z))
    )
    assert_both_alike(fast, slow)


@pytest.mark.parametrize("texts", TEXTS)
def test_logits_losses_and_their_gradients(models: LoadedBundle, texts: str) -> None:
    targets = models.targets(TEXTS[texts])
    z = random(len(TEXTS[texts]), bundle=models)
    real = targets.mask.unsqueeze(-1)
    assert_both_alike(
        with_gradient(lambda z: models.logits(z, targets) * real, z),
        with_gradient(lambda z: reference.logits(models, z, targets) * real, z),
    )
    fast = with_gradient(lambda z: models.token_losses(z, targets), z)
    assert_both_alike(fast, with_gradient(lambda z: reference.token_losses(models, z, targets), z))
    assert not fast[0][~targets.mask].any()


def test_in_double_precision_they_are_the_same_to_the_last_digits(double_bundle: LoadedBundle) -> None:
    """float32 rounds; here what was folded, joined and left out would show. The rotary tables are float32."""
    z = random(3, bundle=double_bundle).double()
    targets = double_bundle.targets(TEXTS["padded"])

    def loss(
        predict: Callable[[Tensor], Tensor], losses: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        return with_gradient(lambda z: losses(predict(z.unsqueeze(1)).squeeze(1)), z)

    fast = loss(double_bundle.predict_each, lambda p: double_bundle.token_losses(p, targets))
    slow = loss(
        lambda z: reference.predict_each(double_bundle, z),
        lambda p: reference.token_losses(double_bundle, p, targets),
    )
    for one, other in zip(fast, slow, strict=True):
        assert_alike(one, other, relative=1e-11)


def test_bfloat16_is_as_near_to_float32_as_the_reference_is(models: LoadedBundle) -> None:
    coarse = (
        toy_bundle(dtype=torch.bfloat16)
        if models.bundle.name == "toy"
        else load_bundle("mini", device="cpu", dtype="bfloat16")
    )
    z = random(3, bundle=models)
    targets = models.targets(TEXTS["padded"])
    exact, exact_gradient = with_gradient(lambda z: models.token_losses(models.predict(z), targets), z)
    coarse_targets = coarse.targets(TEXTS["padded"])
    fast, gradient = with_gradient(lambda z: coarse.token_losses(coarse.predict(z), coarse_targets), z)
    slow, slow_gradient = with_gradient(
        lambda z: reference.token_losses(
            coarse, reference.predict_each(coarse, z.unsqueeze(1)).squeeze(1), targets
        ),
        z,
    )
    assert fast.dtype == gradient.dtype == torch.float32
    assert (fast - exact).abs().mean() <= 1.5 * (slow - exact).abs().mean()
    assert (gradient - exact_gradient).norm() <= 1.5 * (slow_gradient - exact_gradient).norm()


def test_heads_that_share_keys_and_projections_with_biases() -> None:
    torch.manual_seed(0)
    config = {
        "hidden_size": HIDDEN,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "attention_bias": True,
        "mlp_bias": True,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 32.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 32,
        },
        "max_position_embeddings": 64,
    }
    generator = SonarLLM(config, DIM).eval().requires_grad_(False)
    for parameter in generator.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.3)
    slow = {length: generator(torch.ones(2, length, DIM) * 0.1) for length in (1, 3)}
    fast = FastGenerator(generator)
    for length, expected in slow.items():
        assert_alike(fast(torch.ones(2, length, DIM) * 0.1), expected, relative=1e-5)


def test_no_weight_has_a_second_copy_and_none_changes(bundle: LoadedBundle) -> None:
    fresh = toy_bundle()
    parameters = [*fresh.decoder.parameters(), *fresh.generator.parameters()]
    before = [parameter.clone() for parameter in parameters]
    fresh.predict(random(1, bundle=bundle))
    fresh.targets([SHORT])
    assert all(map(torch.equal, before, parameters))
    for layer in fresh.generator.llama.layers:
        gate, up = layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight
        assert gate.untyped_storage().data_ptr() == up.untyped_storage().data_ptr()
        assert joined([gate, up]).data_ptr() == gate.data_ptr()


def test_nothing_is_computed_for_the_frozen_weights(bundle: LoadedBundle) -> None:
    """On the way back there is one matrix product for each on the way forth that z reaches."""
    targets = bundle.targets([LONG])
    z = random(1, bundle=bundle).requires_grad_()
    products: list[str] = []

    class Counting(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if function.overloadpacket.__name__ in ("mm", "addmm", "_addmm_activation", "bmm"):
                products.append(function.overloadpacket.__name__)
            return function(*args, **(kwargs or {}))

    with Counting():  # type: ignore[no-untyped-call]
        loss = bundle.token_losses(bundle.predict(z), targets).sum()
        forth = len(products)
        torch.autograd.grad(loss, z)
    # The product with the vocabulary has made its gradient already.
    assert len(products) - forth == forth - 2
