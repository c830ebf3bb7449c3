"""Choices that look random and are not: each is a hash of what it is about, the same in every process and order."""

import hashlib
import json


def digest(*parts: object) -> str:
    """Sixteen hexadecimal digits that identify the parts; the same in every process and on every machine."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:16]


def coin(*parts: object) -> bool:
    """Heads or tails for these parts."""
    return int(digest(*parts)[-1], 16) % 2 == 1
