"""Human readers: a page with some of a data set's questions, and the file with a reader's answers.

``sample`` chooses the questions, ``full_resolution`` finds the slices behind their images, ``page`` writes the page,
and ``answers`` reads what a reader exports from it.

May import ``gallery`` and the rooms before it.
"""

from typing import TYPE_CHECKING

from dataset_builder.core.lazy import handed_on

if TYPE_CHECKING:
    from dataset_builder.readers.page import write_reader_page

__all__ = ["write_reader_page"]

__getattr__, __dir__ = handed_on(
    __name__,
    {"write_reader_page": "page"},
)
