"""Compiles Triton kernels for a card that need not be here."""

from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

HOPPER = GPUTarget("cuda", 90, 32)


def machine_code(kernel: Any, signature: dict[str, str], constants: dict[str, int]) -> bytes:
    """Of a kernel, for types of its arguments in their order, and values of its constants."""
    whole = {**signature, **dict.fromkeys(constants, "constexpr")}
    source = ASTSource(
        kernel, signature={name: whole[name] for name in kernel.arg_names}, constexprs=constants
    )
    code: bytes = triton.compile(source, target=HOPPER).asm["cubin"]
    return code
