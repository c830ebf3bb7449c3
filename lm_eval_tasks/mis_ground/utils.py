"""MIS-Ground for lm-evaluation-harness: what the task files name."""

from lm_eval_tasks.mis_ground.metrics import extract_answer, median, pair_acc, process_results, read_reply
from lm_eval_tasks.mis_ground.prompts import doc_to_blind_text, doc_to_text
from lm_eval_tasks.mis_ground.task import MISGroundTask

__all__ = [
    "MISGroundTask",
    "doc_to_blind_text",
    "doc_to_text",
    "extract_answer",
    "median",
    "pair_acc",
    "process_results",
    "read_reply",
]
