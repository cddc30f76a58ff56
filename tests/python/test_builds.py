"""What a model says that a build replaces in it: said wrongly, or in dbt's words, it is refused."""

from typing import Any

import pytest

from sql_project import SqlProject


def node(**config: Any) -> dict[str, Any]:
    """An incremental model as dbt's graph has it."""
    return {"name": "int_things", "config": {"meta": {}, **config}}


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            node(meta={"replaces": {"everything": []}}, incremental_predicates=["day > 3"]),
            r"^int_things has incremental_predicates, which .+ another strategy\.$",
        ),
        (node(), r"^int_things does not say what a build replaces in it: .+changed_searches"),
        (
            node(meta={"replaces": {"old_rows": []}}),
            r"^int_things replaces 'old_rows'; it must be one of everything, nothing, ",
        ),
        (
            node(meta={"replaces": {"changed_visits": ["user_id"]}}),
            r"^int_things replaces changed_visits by .+ list of columns: visitor, moment\.$",
        ),
    ],
)
def test_an_unclear_scope_is_refused(model: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SqlProject().macro("check_scopes", [model])


def test_a_clear_scope_is_not() -> None:
    scopes = {"changed_visitors": ["user_id"], "changed_deployments": ["deployment_id"]}
    assert not SqlProject().macro("check_scopes", [node(meta={"replaces": scopes})]).strip()
