"""The compiled ops on graphics cards: the library, and whether an op may use it. The operators are those of `cpu`."""

from .availability import require, unavailable_reason, usable
from .library import call

__all__ = ["call", "require", "unavailable_reason", "usable"]
