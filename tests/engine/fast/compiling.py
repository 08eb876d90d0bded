"""Compiles Triton kernels for a card that need not be here."""

from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel

AMPERE = GPUTarget("cuda", 86, 32)
"""Cards with 99 KiB of shared memory a program."""

HOPPER = GPUTarget("cuda", 90, 32)


def machine_code(kernel: Any, signature: dict[str, str], constants: dict[str, int]) -> bytes:
    """Of a kernel, for types of its arguments in their order, and values of its constants."""
    code: bytes = compiled_for(HOPPER, kernel, signature, constants).asm["cubin"]
    return code


def compiled_for(
    target: GPUTarget, kernel: Any, signature: dict[str, str], constants: dict[str, int], **options: int
) -> CompiledKernel:
    """A kernel for a card, with options such as `num_stages`: not loaded yet."""
    whole = {**signature, **dict.fromkeys(constants, "constexpr")}
    source = ASTSource(
        kernel, signature={name: whole[name] for name in kernel.arg_names}, constexprs=constants
    )
    return triton.compile(source, target=target, options=options)
