"""What is asked: facts that are clear in a slice or stack, which of them are asked, and in what words.

May import ``pictures`` and the rooms before it.
"""

from typing import TYPE_CHECKING

from dataset_builder.core.lazy import handed_on

if TYPE_CHECKING:
    from dataset_builder.questions.question import Question
    from dataset_builder.questions.slice_questions import ask
    from dataset_builder.questions.stack_questions import ask_of_stack

__all__ = ["Question", "ask", "ask_of_stack"]

__getattr__, __dir__ = handed_on(
    __name__,
    {"Question": "question", "ask": "slice_questions", "ask_of_stack": "stack_questions"},
)
