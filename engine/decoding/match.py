"""When a decoded text counts as the target."""


def matches(decoded: str, target: str) -> bool:
    """Whether a decoded text equals the target, outer white space aside."""
    return decoded.strip() == target.strip()
