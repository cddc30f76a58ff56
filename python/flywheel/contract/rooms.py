"""House rules about what may read what: layers, formats, and rooms in the order of the data."""

from collections.abc import Iterator

from flywheel.contract.manifest import Project

ROOMS = (
    *("log", "behavior", "windows", "propensity", "labels", "training", "evaluation"),
    *("canary", "flywheel", "validation"),
)
"""Folders of intermediate models and of marts in the order of the data: none reads a later one."""


def layers_read_downwards(project: Project) -> Iterator[str]:
    """Marts read no staging model and no raw input; staging reads raw input and staging only."""
    by_id = {model.unique_id: model for model in project.models.values()}
    for model in project.models.values():
        for node in model.reads:
            read = by_id.get(node)
            layer = read.layer if read is not None else kind(node)
            if model.layer == "staging" and layer in ("intermediate", "marts"):
                yield f"{model.name}: staging may not read {short(node)}."
            if model.layer == "intermediate" and read is not None and _is_base(read.name):
                yield f"{model.name}: may not read {read.name}, which is its format's own."
            if model.layer == "marts" and layer in ("staging", "raw"):
                yield f"{model.name}: a mart may not read {short(node)}; put a model between."


def formats_end_alike(project: Project) -> Iterator[str]:
    """What one format's folder of staging ends in, every other one does, with the same columns."""
    formats = {
        model.folder.rpartition("/")[2]: {}
        for model in project.models.values()
        if model.layer == "staging"
    }
    for model in project.models.values():
        if model.layer == "staging" and not _is_base(model.name):
            entity = model.name.partition("__")[2]
            formats[model.folder.rpartition("/")[2]][entity] = {
                column.name: column.data_type for column in model.columns
            }
    for entity in sorted({entity for found in formats.values() for entity in found}):
        known = {name: found[entity] for name, found in formats.items() if entity in found}
        first = min(known)
        for name in sorted(formats):
            if name not in known:
                yield f"stg_{name}__{entity}: is missing; stg_{first}__{entity} is there."
            elif known[name] != known[first]:
                other = sorted(name for name, _ in known[name].items() ^ known[first].items())
                yield f"stg_{name}__{entity}: differs from stg_{first}__{entity} in {other[0]}."


def data_flows_one_way(project: Project) -> Iterator[str]:
    """No intermediate model and no mart reads a model of a later room."""
    by_id = {model.unique_id: model for model in project.models.values()}
    for model in project.models.values():
        if model.layer not in ("intermediate", "marts"):
            continue
        if model.area not in ROOMS:
            yield f"{model.name}: models/{model.folder} has no place in the order of the data."
            continue
        for node in model.reads:
            read = by_id.get(node)
            if read is None or read.layer not in ("intermediate", "marts"):
                continue
            if read.area in ROOMS and ROOMS.index(read.area) > ROOMS.index(model.area):
                yield f"{model.name}: reads {read.name}, and {read.area} comes after {model.area}."


def kind(node: str) -> str:
    """Name of the source a node is a table of; its resource type if it is no source."""
    parts = node.split(".")
    return parts[2] if parts[0] == "source" else parts[0]


def short(node: str) -> str:
    """The node's name without type and package."""
    parts = node.split(".")
    return ".".join(parts[2:]) if len(parts) > 2 else node


def _is_base(name: str) -> bool:
    return name.startswith("base_")
