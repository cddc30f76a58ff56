"""The result as an aligned table."""

from collections import Counter

from mutation.judge import DATA, SQL, SURVIVED, UNIT, Verdict

COLUMNS = {UNIT: "unit tests", DATA: "data tests", SQL: "pytest", SURVIVED: "survived"}


def table(verdicts: list[Verdict]) -> str:
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


def share_caught(verdicts: list[Verdict]) -> float:
    """Share of the mutants that somebody noticed (1 without any)."""
    survived = sum(v.caught_by == SURVIVED for v in verdicts)
    return 1 - survived / len(verdicts) if verdicts else 1.0
