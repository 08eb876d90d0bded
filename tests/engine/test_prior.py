"""The Gaussian of sentence embeddings, against torch's own and against files that are none."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import UserError
from engine.models.prior import Prior, fit, load_prior, save_prior
from engine.objective.terms.prior import squared_mahalanobis


@pytest.fixture
def embeddings() -> torch.Tensor:
    """(200, 6), each coordinate with a mean and a spread of its own."""
    drawn = torch.randn(200, 6, generator=torch.Generator().manual_seed(3))
    return drawn * torch.tensor([0.1, 1.0, 2.0, 0.01, 3.0, 0.5]) + torch.arange(6.0)


def test_the_fit_is_the_likeliest_gaussian(embeddings: torch.Tensor) -> None:
    mean, variance = fit(embeddings)

    def log_likelihood(mean: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        return -0.5 * (variance.log() + (embeddings - mean).square() / variance).sum(dim=0)

    best = log_likelihood(mean, variance)
    for factor in (0.97, 1.03):
        assert (log_likelihood(mean, variance * factor) < best).all()
        assert (log_likelihood(mean + variance.sqrt() * (factor - 1), variance) < best).all()
    assert mean.dtype == variance.dtype == torch.float32


def test_the_distance_is_the_quadratic_form_over_the_dimension(embeddings: torch.Tensor) -> None:
    mean, variance = fit(embeddings)
    precision = torch.linalg.inv(torch.diag(variance.double()))
    differences = (embeddings - mean).double()
    expected = torch.stack([row @ precision @ row for row in differences]) / 6
    distances = squared_mahalanobis(embeddings, mean, variance)
    torch.testing.assert_close(distances.double(), expected, rtol=1e-4, atol=0)
    assert squared_mahalanobis(mean, mean, variance) == 0
    assert distances.mean().item() == pytest.approx(1, rel=1e-4)


def test_what_is_saved_is_loaded(embeddings: torch.Tensor, tmp_path: Path) -> None:
    prior = fit(embeddings)
    save_prior(prior, tmp_path / "prior.safetensors", count=200)
    loaded = load_prior(tmp_path / "prior.safetensors")
    assert torch.equal(loaded.mean, prior.mean)
    assert torch.equal(loaded.variance, prior.variance)


@pytest.mark.parametrize(
    ("embeddings", "complaint"),
    [
        (torch.zeros(1, 3), "shape (1, 3)"),
        (torch.zeros(3), "shape (3,)"),
        (torch.tensor([[1.0, 5.0], [2.0, 5.0]]), "variance is not positive in 1 of 2 coordinates"),
        (torch.tensor([[1.0, 5.0], [torch.nan, 4.0]]), "mean is not finite in 1 of 2 coordinates"),
    ],
)
def test_what_has_no_gaussian_is_refused(embeddings: torch.Tensor, complaint: str) -> None:
    with pytest.raises(UserError) as refusal:
        fit(embeddings)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        ({"mean": torch.zeros(4)}, "variance is missing"),
        ({"mean": torch.zeros(4), "variance": torch.ones(5)}, "mean (4,) and variance (5,)"),
        ({"mean": torch.zeros(2, 2), "variance": torch.ones(2, 2)}, "mean (2, 2)"),
        ({"mean": torch.zeros(0), "variance": torch.ones(0)}, "mean (0,)"),
        (
            {"mean": torch.zeros(2), "variance": torch.tensor([1.0, 0.0])},
            "variance is not positive in 1 of 2",
        ),
        (
            {"mean": torch.zeros(2), "variance": torch.tensor([1.0, -1.0])},
            "variance is not positive in 1 of 2",
        ),
        (
            {"mean": torch.zeros(2), "variance": torch.tensor([1.0, torch.inf])},
            "variance is not finite in 1 of 2",
        ),
        ({"mean": torch.tensor([torch.nan, 0.0]), "variance": torch.ones(2)}, "mean is not finite in 1 of 2"),
    ],
)
def test_a_file_that_holds_no_gaussian_is_refused_in_one_line(
    tensors: dict[str, torch.Tensor], complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "prior.safetensors"
    save_file(tensors, path)
    with pytest.raises(UserError) as refusal:
        load_prior(path)
    assert str(refusal.value).startswith(f"{path}: {complaint}")
    assert "\n" not in str(refusal.value)


def test_a_missing_and_a_damaged_file_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "prior.safetensors"
    with pytest.raises(UserError, match="cannot be read as safetensors") as missing:
        load_prior(path)
    save_prior(Prior(torch.zeros(64), torch.ones(64)), path, count=2)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="cannot be read as safetensors") as damaged:
        load_prior(path)
    for refusal in (missing, damaged):
        assert str(path) in str(refusal.value)
        assert "\n" not in str(refusal.value)
