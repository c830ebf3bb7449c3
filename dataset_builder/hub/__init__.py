"""A finished data set on the Hugging Face Hub: what a push would change, and the push.

May import ``building`` and the rooms before it; not ``gallery`` or ``check``.
"""

from typing import TYPE_CHECKING

from dataset_builder.core.lazy import handed_on

if TYPE_CHECKING:
    from dataset_builder.hub.push import Pushed

__all__ = ["Pushed"]

__getattr__, __dir__ = handed_on(
    __name__,
    {"Pushed": "push"},
)
