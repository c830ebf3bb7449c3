"""Compare two builds of the same volumes, before and after a change of lay wordings: only lay texts may differ.

    python tests/benchmarks/lay_changes.py BEFORE AFTER

Every row of every config is compared by its id, column by column, images by their bytes. In rows of the lay register
the texts (question, options, answer, prior_answer) may differ, and so may the position of the right option, if the
same structures or relations are offered: every old text must stand for exactly one new text. The column `version` may
differ in all rows.
"""

import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

TEXTS = ("question", "options", "answer", "prior_answer", "answer_index")


def rows(folder: Path) -> dict[str, dict]:
    """All rows by config, split and id; images as they are stored."""
    found = {}
    for path in sorted((folder / "data").rglob("*.parquet")):
        place = path.relative_to(folder / "data").with_suffix("").as_posix()
        for row in pq.read_table(path).to_pylist():
            found[f"{place} {row['id']}"] = row
    return found


def compare(before: Path, after: Path) -> tuple[Counter, list[str]]:
    """Counts of what differs in lay rows, and what must not differ and does."""
    old, new = rows(before), rows(after)
    wrong = [f"only in one of them: {key}" for key in sorted(old.keys() ^ new.keys())]
    changed: Counter[str] = Counter(rows=len(old), lay_rows=sum(row["register"] == "lay" for row in old.values()))
    meaning: dict[str, set[str]] = {}
    offered = []
    for key in sorted(old.keys() & new.keys()):
        one, other = old[key], new[key]
        lay = one["register"] == "lay"
        for column in one.keys() | other.keys():
            if column == "version" or one.get(column) == other.get(column):
                continue
            if lay and column in TEXTS:
                changed[column] += 1
            else:
                wrong.append(f"{key}: {column}")
        for position, row in (("answer", other),):
            meaning.setdefault(one[position], set()).add(row[position])
        offered.append((key, one["options"], other["options"]))
    wrong += [f"{text!r} became {sorted(found)}" for text, found in meaning.items() if len(found) > 1]
    became = {text: min(found) for text, found in meaning.items()}
    twice = Counter(became.values())
    wrong += [f"{count} texts became {text!r}" for text, count in twice.items() if count > 1 and text not in became]
    for key, options, others in offered:
        known = {became[option] for option in options if option in became}
        if len(options) != len(others) or not known <= set(others):
            wrong.append(f"{key}: other options are offered")
    return changed, wrong


if __name__ == "__main__":
    counts, faults = compare(Path(sys.argv[1]), Path(sys.argv[2]))
    print(", ".join(f"{name}: {count:,}" for name, count in counts.items()))
    print("\n".join(faults[:50]) or "All but texts of the lay register is equal.")
    sys.exit(bool(faults))
