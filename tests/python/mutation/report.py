"""The result as an aligned table, and what is wrong with it."""

from collections import Counter
from collections.abc import Sequence

from mutation.judge import DATA, INVALID, SQL, SURVIVED, UNIT, Verdict
from mutation.survivors import Survivor, outlived, unlisted

LEAST_SHARE = 0.9
"""Share of the mutants that has to be noticed."""
COLUMNS = {UNIT: "unit tests", DATA: "data tests", SQL: "pytest", SURVIVED: "survived"}


def report(
    verdicts: Sequence[Verdict], listed: Sequence[Survivor], *, is_complete: bool
) -> tuple[str, list[str]]:
    """The table with a line on the whole, and lines on each fault (none: all is well).

    Args:
        verdicts: what was judged.
        listed: the survivors that have a reason.
        is_complete: whether all mutants of these models were judged, so that a listed one that is
            not among the survivors is listed in vain.
    """
    valid = [v for v in verdicts if v.caught_by != INVALID]
    survived = [v.mutant for v in valid if v.caught_by == SURVIVED]
    share = 1 - len(survived) / len(valid) if valid else 1.0
    text = (
        f"{table(valid)}\n{share:.1%} of {len(valid)} mutants were noticed;"
        f" {len(verdicts) - len(valid)} more were no valid SQL."
    )
    faults = []
    if new := unlisted(survived, listed):
        faults.append(f"{len(new)} survived and are not in survivors.toml:")
        faults += [f"  {mutant}" for mutant in new]
    if share < LEAST_SHARE:
        faults.append(f"Fewer than {LEAST_SHARE:.0%} were noticed.")
    models = {v.mutant.model for v in valid} if is_complete else set()
    if gone := outlived(survived, listed, models):
        faults.append("These of survivors.toml are noticed, or are no mutants any more:")
        faults += [f"  {survivor.model}, {survivor.change}" for survivor in gone]
    return text, faults


def table(verdicts: Sequence[Verdict]) -> str:
    """One row a model, in the order of the verdicts, and the total."""
    models = list(dict.fromkeys(v.mutant.model for v in verdicts))
    counts = {model: Counter[str]() for model in models}
    for verdict in verdicts:
        counts[verdict.mutant.model][verdict.caught_by] += 1
    counts["total"] = sum(counts.values(), Counter[str]())
    rows = [["model", "mutants", *COLUMNS.values(), "noticed"]]
    for model, count in counts.items():
        n = count.total()
        share = f"{1 - count[SURVIVED] / n:.1%}" if n else ""
        rows.append([model, str(n), *(str(count[by]) for by in COLUMNS), share])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
