"""What of a failure decides whether a worker can go on."""

import pytest

from engine.work.failure import card_is_lost


@pytest.mark.parametrize(
    ("reason", "is_lost"),
    [
        ("AcceleratorError: CUDA error: an illegal memory access was encountered", True),
        ("AcceleratorError: CUDA error: out of memory CUDA kernel errors might be reported later", False),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", False),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`", True),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", False),
        ("target: 200 tokens; bundle mini takes at most 94", False),
    ],
)
def test_a_card_that_is_only_full_can_be_used_again(reason: str, is_lost: bool) -> None:
    assert card_is_lost(reason) == is_lost
