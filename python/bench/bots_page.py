"""The tables that `bots` finds, for docs/bots.md and the terminal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flywheel.terminal import Terminal

MARK = "<!-- written by make bench-bots -->"


def _people_lines(found: Mapping[str, Any], cell: Callable[[Any], str]) -> list[str]:
    lines = [
        f"| kind of human, {100 * found['clicked_share']:.0f} % of searches clicked "
        "| days | flagged | false positives (95 % interval) |",
        "|---|--:|--:|--:|",
    ]
    for persona, row in found["people"].items():
        lines.append(
            f"| {persona.replace('_', ' ')} | {row['n_days']:,} | {row['n_flagged']:,} "
            f"| {cell(row['false_positives'])} |"
        )
    hard = [row for name, row in found["people"].items() if name != "ordinary"]
    lines.append(
        f"| **all but ordinary** | {sum(r['n_days'] for r in hard):,} "
        f"| {sum(r['n_flagged'] for r in hard):,} | {cell(found['all']['hard_false_positives'])} |"
    )
    return lines


def _rate_lines(rates: Sequence[Mapping[str, Any]], cell: Callable[[Any], str]) -> list[str]:
    """People's false positives and recall by the site's click rate, then each rule's recall."""
    lines = [
        "| people click in | judged by | people flagged (95 % interval) "
        "| power users flagged (95 % interval) | by fixed thresholds | recall (95 % interval) |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rates:
        lines.append(
            f"| {100 * row['clicked_share']:.0f} % of searches "
            f"| {100 * row['assumed_click_rate']:.0f} % | {cell(row['people'])} "
            f"| {cell(row['power_users'])} | {100 * row['power_users_fixed']:.1f} % "
            f"| {cell(row['recall'])} |"
        )
    shares = " | ".join(f"{100 * row['clicked_share']:.0f} %" for row in rates)
    lines += ["", f"| recall of the rule, where people click in | {shares} |"]
    lines.append("|---|" + "--:|" * len(rates))
    for rule in sorted({rule for row in rates for rule in row["rules"]}):
        cells = " | ".join(f"{100 * row['rules'].get(rule, 0.0):.1f} %" for row in rates)
        lines.append(f"| `{rule}` | {cells} |")
    return lines


def markdown(found: Mapping[str, Any]) -> str:
    """The tables of docs/bots.md."""

    def cell(value: Mapping[str, float]) -> str:
        return (
            f"{100 * value['share']:.1f} % ({100 * value['ci_low']:.1f} to "
            f"{100 * value['ci_high']:.1f})"
        )

    lines = [
        "| kind of bot | days | recall (95 % interval) | precision (95 % interval) "
        "| of its searches | most often by |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for kind, row in found["bots"].items():
        reasons = ", ".join(f"`{reason}`" for reason in row["reasons"])
        lines.append(
            f"| {kind.replace('_', ' ')} | {row['n_days']:,} | {cell(row['recall'])} "
            f"| {cell(row['precision'])} | {100 * row['search_recall']:.0f} % | {reasons} |"
        )
    total = found["all"]
    lines += [
        f"| **all** | {sum(r['n_days'] for r in found['bots'].values()):,} "
        f"| {cell(total['recall'])} | {cell(total['precision'])} | | |",
        "",
        *_people_lines(found, cell),
        "",
        *_rate_lines(found["rates"], cell),
        "",
        "| rule | days flagged | by this rule alone | of people |",
        "|---|--:|--:|--:|",
    ]
    for rule, row in found["rules"].items():
        lines.append(f"| `{rule}` | {row['n_days']:,} | {row['n_alone']:,} | {row['n_people']:,} |")
    lines += [
        "",
        "| signal, in the training worlds | days of people | most extreme | one day in 1,000 "
        "| median of |",
        "|---|--:|--:|--:|---|",
    ]
    for name, row in found["training"].items():
        numbers = [
            "" if row[key] is None else f"{row[key]:.4g}"
            for key in ("people", "people_999", "bots")
        ]
        lines.append(
            f"| {name.replace('_', ' ')} | {row['people_days']:,} | {numbers[0]} | {numbers[1]} "
            f"| {row['kind'].replace('_', ' ')}: {numbers[2]} |"
        )
    return "\n".join(lines) + "\n"


def show(found: Mapping[str, Any], terminal: Terminal) -> None:
    """Print them."""
    for block in markdown(found).split("\n\n"):
        head, _, *body = block.strip().splitlines()
        cells = [
            [c.strip(" *").replace("`", "") for c in line.strip("|").split("|")]
            for line in (head, *body)
        ]
        columns = [(name, "left" if i == 0 else "right") for i, name in enumerate(cells[0])]
        terminal.line()
        terminal.table("", columns, cells[1:])
