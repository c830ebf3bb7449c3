"""What is said in place of what: opposite terms as a matrix, and structures taken for others."""

from collections import Counter

from dataset_builder.questions.wording import opposites
from lm_eval_tasks.report.items import Sheet, volume
from lm_eval_tasks.report.scores import Json

NO_ANSWER = "no answer"
TAKEN_FOR = 50
"""How many mistaken structures are listed at most."""


def confusions(sheet: Sheet) -> Json:
    """The matrix of opposite terms, and the structures most often taken for others.

    A question with two options asks for one of two opposite terms: who does not say the right one says the other. Terms
    are counted by meaning, in the data set's clinical word for it, whatever the wording or frame of the question.
    """
    opposite = opposites()
    counts: dict[str, Counter[str]] = {}
    volumes: dict[str, set[str]] = {}
    taken: Counter[tuple[str, str]] = Counter()
    asked: Counter[str] = Counter()
    for row in sheet.scored:
        question, answer = sheet.questions[row], sheet.answers[row]
        relation = question.get("relation", "")
        if question.get("terminology") == "anatomical":
            asked[question["answer"]] += 1
            volumes.setdefault(question["answer"], set()).add(volume(question))
            if not answer.right:
                taken[question["answer"], answer.said or NO_ANSWER] += 1
        elif relation in opposite and len(question["options"]) == 2:
            said = NO_ANSWER if answer.said is None else relation if answer.right else opposite[relation]
            counts.setdefault(relation, Counter())[said] += 1
            volumes.setdefault(relation, set()).add(volume(question))
    order = [term for term in opposite if term in counts]
    most = sorted(taken.items(), key=lambda each: (-each[1], each[0]))[:TAKEN_FOR]
    return {
        "terms": {term: dict(sorted(counts[term].items())) for term in order},
        "volumes": {term: len(volumes[term]) for term in order},
        "taken_for": [
            {
                "answer": right,
                "said": said,
                "count": count,
                "of": asked[right],
                "volumes": len(volumes[right]),
            }
            for (right, said), count in most
        ],
    }
