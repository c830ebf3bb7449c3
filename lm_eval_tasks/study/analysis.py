"""What a study found: arms compared on the same questions, paired by question, with intervals by volume."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cluster_statistics import Difference, holm, rounded, spread_of
from dataset_builder.core.errors import MISGroundError
from dataset_builder.questions.wording import opposites
from lm_eval_tasks.report.items import FACTORS
from lm_eval_tasks.report.scores import Json, difference, share
from lm_eval_tasks.study.answers import Answers, Arm, read_answers
from lm_eval_tasks.study.plan import Plan

GREEDY, SEMSAM, K1, SHUFFLED = "greedy", "semsam", "k1", "shuffled"
COMPARED_BY = (*FACTORS, "relation")


def gap(one: Arm, other: Arm, rows: NDArray[np.int64]) -> Difference:
    """Accuracy of the second minus that of the first, over some questions, by volume."""
    return difference(one.sheet, rows, other.right[rows] - one.right[rows])


def analyse(plan: Plan, answers: Sequence[Answers]) -> Json:
    """All comparisons; p-values of all but the primary one are corrected together by Holm's method."""
    tested: list[Json] = []
    parts = [_part(each, tested) for each in answers]
    primary = primary_comparison(plan, answers)
    others = [each for each in tested if not _is_primary(each, plan)]
    adjusted = holm([np.nan if each["p"] is None else each["p"] for each in others])
    for each, p in zip(others, adjusted, strict=True):
        each["p_holm"] = rounded(p)
    return {
        "primary": primary,
        "tests": len([each for each in others if each["p"] is not None]),
        "parts": parts,
        "semantic": [semantic(each) for each in answers],
        "styles": list(_styles(answers)),
    }


def _is_primary(test: Json, plan: Plan) -> bool:
    chosen = plan.primary
    return (
        not test["by"]
        and (test["model"], test["style"]) == (chosen.model, chosen.style)
        and {test["arm"], test["against"]} == {chosen.arm, chosen.against}
    )


def primary_comparison(plan: Plan, answers: Sequence[Answers]) -> Json | None:
    """The one comparison that is tested alone at 5 %; None until both arms have answered."""
    for each in answers:
        if _has_primary(plan, each):
            one, other = each.arms[plan.primary.against], each.arms[plan.primary.arm]
            return _comparison(each, one, other, one.sheet.scored)
    return None


def _has_primary(plan: Plan, of: Answers) -> bool:
    chosen = plan.primary
    return (of.model, of.style) == (chosen.model, chosen.style) and {chosen.arm, chosen.against} <= of.arms.keys()


def primary_spread(out: Path, plan: Plan) -> float:
    """How much volumes differ in the primary comparison, in an earlier study.

    Raises:
        MISGroundError: if that study has no such comparison.
    """
    for each in read_answers(plan, out):
        if _has_primary(plan, each):
            one, other = each.arms[plan.primary.against], each.arms[plan.primary.arm]
            rows = one.sheet.scored
            return spread_of(other.right[rows] - one.right[rows], one.sheet.volumes[rows])
    raise MISGroundError(
        "The pilot has no answers of the primary comparison.", file=out, remedy="Leave 'pilot' out, or run it first."
    )


def _comparison(of: Answers, one: Arm, other: Arm, rows: NDArray[np.int64], by: Sequence[str] = ()) -> Json:
    found = gap(one, other, rows)
    return {
        "model": of.model,
        "style": of.style,
        "arm": other.name,
        "against": one.name,
        "by": list(by),
        "items": len(rows),
        "volumes": len(np.unique(one.sheet.volumes[rows])),
        "accuracy": rounded(float(other.right[rows].mean())),
        "difference": found.interval.to_json(),
        "p": rounded(found.p),
        "p_holm": None,
    }


def _part(of: Answers, tested: list[Json]) -> Json:
    """One model in one style; each test is added to ``tested``."""
    arms = list(of.arms.values())
    base = of.arms.get(GREEDY, arms[0])
    semsam = next((arm for arm in arms if arm.rule == SEMSAM), None)
    scored = base.sheet.scored
    comparisons = [_comparison(of, base, arm, scored) for arm in arms if arm is not base]
    if semsam is not None:
        comparisons += [_comparison(of, arm, semsam, scored) for arm in arms if arm is not semsam and arm is not base]
    by_factor = [each for arm in arms if arm is not base for each in _by_factor(of, base, arm)]
    by_prior = [each for arm in arms if arm is not base for each in _by_prior(of, base, arm)]
    tested += comparisons + by_factor + by_prior
    return {
        "model": of.model,
        "style": of.style,
        "base": base.name,
        "questions": len(base.sheet),
        "scored": len(scored),
        "volumes": len(np.unique(base.sheet.volumes[scored])),
        "arms": [_arm(base, arm) for arm in arms],
        "comparisons": comparisons,
        "by_factor": by_factor,
        "by_prior": by_prior,
        "left_out": dict(of.left_out),
    }


def _by_factor(of: Answers, base: Arm, arm: Arm) -> Iterator[Json]:
    for group in base.sheet.groups():
        if len(group.by) != 1 or group.by[0] not in COMPARED_BY:
            continue
        if len(group.rows) < len(base.sheet.scored) or group.by[0] in ("input", "view"):
            yield _comparison(of, base, arm, group.rows, (group.by[0], group.value[0]))


def _by_prior(of: Answers, base: Arm, arm: Arm) -> Iterator[Json]:
    """Where anatomy alone would give the right answer, and where a wrong one."""
    scored = base.sheet.scored
    for name, chosen in (("with anatomy", base.sheet.agrees), ("against anatomy", base.sheet.conflicts)):
        rows = scored[chosen[scored]]
        if len(rows):
            yield _comparison(of, base, arm, rows, ("prior", name))


def _arm(base: Arm, arm: Arm) -> Json:
    sheet, scored = arm.sheet, arm.sheet.scored
    each_seed = [float(one.right[scored].mean()) for one in arm.sheets]
    invalid = np.mean([one.invalid for one in arm.sheets], axis=0)
    lengths = [len(tokens) for seed in arm.tokens for tokens in seed]
    return {
        "name": arm.name,
        "rule": arm.rule,
        "seeds": len(arm.sheets),
        "accuracy": share(sheet, scored, arm.right[scored]),
        "by_seed": [rounded(value) for value in each_seed],
        "spread_of_seeds": rounded(float(np.std(each_seed, ddof=1))) if len(each_seed) > 1 else None,
        "invalid": share(sheet, scored, invalid[scored]),
        "length": rounded(float(np.mean(lengths))) if lengths else None,
        "seconds_a_token": rounded(arm.seconds / arm.generated) if arm.generated else None,
        "seconds_an_answer": rounded(arm.seconds / (len(arm.sheets) * len(sheet))) if len(sheet) else None,
        **changes(base, arm),
        "swapped": swapped(base, arm),
    }


def changes(base: Arm, arm: Arm) -> Json:
    """How an arm's first answers differ from the base's, token by token.

    The first change is counted from 1; its place is the mean over the answers that changed.
    """
    different = total = changed = answers = 0
    places = []
    for one, other in zip(base.tokens[0], arm.tokens[0], strict=True):
        apart = [place for place, (a, b) in enumerate(zip_longest(one, other), start=1) if a != b]
        total += max(len(one), len(other))
        different += len(apart)
        if apart:
            changed += 1
            places.append(apart[0])
    for before, after in zip(base.sheet.answers, arm.sheet.answers, strict=True):
        answers += before.said != after.said
    count = max(1, len(base.sheet))
    return {
        "tokens_changed": rounded(different / max(1, total)),
        "replies_changed": rounded(changed / count),
        "answers_changed": rounded(answers / count),
        "first_change": rounded(float(np.mean(places))) if places else None,
        "first_change_at_first_token": rounded(float(np.mean([place == 1 for place in places]))) if places else None,
    }


def swapped(base: Arm, arm: Arm) -> list[Json]:
    """Answers that turned into the opposite term, by direction: how many, and how many were so put right or wrong."""
    counted: Counter[tuple[str, str]] = Counter()
    mended: Counter[tuple[str, str]] = Counter()
    spoilt: Counter[tuple[str, str]] = Counter()
    for before, after in zip(base.sheet.answers, arm.sheet.answers, strict=True):
        if before.said is None or after.said is None or not are_opposite(before.said, after.said):
            continue
        key = (before.said, after.said)
        counted[key] += 1
        mended[key] += after.right and not before.right
        spoilt[key] += before.right and not after.right
    return [
        {"from": one, "to": other, "count": number, "put_right": mended[one, other], "put_wrong": spoilt[one, other]}
        for (one, other), number in sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    ]


def are_opposite(one: str, other: str) -> bool:
    """Whether two options are a term and its opposite, as the data set's wording pairs them."""
    return opposites().get(one) == other


def semantic(of: Answers) -> Json:
    """Whether a gain of ``semsam`` counts as semantic: it must beat greedy decoding and both controls.

    Beats: the 95 % interval of the difference lies above zero.
    """
    by_rule = {arm.rule: arm for arm in of.arms.values()}
    controls = (GREEDY, K1, SHUFFLED)
    missing = [rule for rule in (SEMSAM, *controls) if rule not in by_rule]
    where = f"{of.model}, {of.style}"
    if missing:
        return {
            "model": of.model,
            "style": of.style,
            "verdict": None,
            "sentence": f"{where}: no verdict, since {', '.join(missing)} did not answer.",
        }
    scored = by_rule[SEMSAM].sheet.scored
    gaps = {rule: gap(by_rule[rule], by_rule[SEMSAM], scored).interval for rule in controls}
    found = {rule: interval.to_json() for rule, interval in gaps.items()}
    beats = [rule for rule in controls if gaps[rule].low > 0]  # NaN, where there is no interval, is not
    verdict = len(beats) == len(controls)
    not_beaten = [rule for rule in controls if rule not in beats]
    sentence = (
        f"{where}: semsam beats greedy, k1 and shuffled, so its gain counts as semantic."
        if verdict
        else f"{where}: semsam does not beat {', '.join(not_beaten)}, so no gain counts as semantic."
    )
    return {"model": of.model, "style": of.style, "verdict": verdict, "against": found, "sentence": sentence}


def _styles(answers: Sequence[Answers]) -> Iterator[Json]:
    """Each arm in one answer style against the same arm in the first style, on the questions that both answered."""
    first: dict[str, Answers] = {}
    for each in answers:
        base = first.setdefault(each.model, each)
        if base is each:
            continue
        for name in each.arms.keys() & base.arms.keys():
            one, other = base.arms[name], each.arms[name]
            if one.sheet.ids == other.sheet.ids:
                found = _comparison(each, one, other, one.sheet.scored)
                yield found | {"arm": name, "against": f"{name} ({base.style})", "style": each.style}
