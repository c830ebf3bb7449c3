"""The reading of answers: which option a reply gives, or why it gives none.

`read` works in stages, each in a module of its own and a pure function: what was thought is taken away (markers.py),
the last explicit final answer counts (final.py), else an option that stands alone, else a judgement on each option
(verdicts.py), else what the sentences say when negations, contrasts, restatements and statements about the image are
set apart (relations.py, naming.py, lists.py). What is doubtful stays unread. The tables are the .yml files.
"""

from .reader import read
from .result import READER_VERSION, STATUSES, Reading, Status

__all__ = ["READER_VERSION", "STATUSES", "Reading", "Status", "read"]
