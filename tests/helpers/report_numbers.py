"""Three made-up models on made-up rows, for numbers that plain loops can recompute."""

from tests.helpers.harness_files import factorial_rows, luck

ROWS = factorial_rows(volumes=12, facts=3, prior=True)


def other(each):
    return next(option for option in each["options"] if option != each["answer"])


def worse_in_lay_words(each):
    """Right in 9 of 10 clinical and 5 of 10 lay questions; now and then no answer."""
    if luck("silent", each["id"]) < 0.05:
        return "no idea"
    return each["answer"] if luck(each["id"]) < (0.5 if each["register"] == "lay" else 0.9) else other(each)


def better(each):
    return each["answer"] if luck("better", each["id"]) < 0.95 else worse_in_lay_words(each)


def guess(each):
    return each["options"][int(luck("blind", each["id"]) * len(each["options"]))]


def score_of(found, *value):
    return next(score for score in found if score["value"] == list(value))


def rows_where(reading, run, **wanted):
    wanted.setdefault("view", "plain")
    return [
        (question, run.answers[identity])
        for identity, question in reading.questions.items()
        if identity in run.answers and all(question.get(name, "plain") == value for name, value in wanted.items())
    ]
