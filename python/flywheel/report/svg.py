"""Figures on their way into a page or a file.

Inside a page a figure becomes inline SVG with real text, whose colours are CSS variables: one
picture serves a light and a dark page, and no picture is loaded from anywhere.
"""

import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from flywheel.report.charts import (
    BLUE,
    FAINT,
    GREEN,
    GRID,
    INK,
    MUTED,
    NARROW,
    ORANGE,
    WIDE,
    Layout,
    style,
)

# Light values as drawn; style.css gives each variable its dark value too.
CSS_COLOURS = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    FAINT: "--faint",
    BLUE: "--blue",
    ORANGE: "--orange",
    GREEN: "--green",
}


def responsive_svg(
    name: str, description: str, draw: Callable[[Layout], Figure | None]
) -> Markup | None:
    """Draw a picture at desk and at phone width, as HTML; CSS shows one of the two.

    Args:
        name: unique in the page; prefixes every id inside.
        description: what a screen reader says.
        draw: the drawing function.

    Returns:
        Markup in which every text is escaped; None where there is nothing to draw.
    """
    parts = []
    for layout in (WIDE, NARROW):
        with matplotlib.rc_context(style(layout)):
            figure = draw(layout)
            if figure is None:
                return None
            kind = "narrow" if layout.narrow else "wide"
            parts.append(inline_svg(figure, f"{name}-{kind}", description, kind))
    return Markup("\n".join(parts))


def inline_svg(figure: Figure, prefix: str, description: str, css_class: str) -> str:
    """A figure as an `<svg>` element for an HTML page: own ids, no namespaces, themed colours.

    The markup is rebuilt from the parsed tree, so that every text is escaped again on its way out.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": prefix}), warnings.catch_warnings():
        # A glyph DejaVu lacks is drawn by the browser's own fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _strip(root)
    for element in root.iter():
        attributes = {}
        for key, value in element.attrib.items():
            key = key.rpartition("}")[2]
            if key == "id":
                value = f"{prefix}-{value}"
            elif key == "href":
                value = f"#{prefix}-{value[1:]}"
            elif key in ("clip-path", "style"):
                value = re.sub(r"url\(#", f"url(#{prefix}-", value)
            if key == "style":
                value = _themed(value)
            attributes[key] = value
        element.tag = element.tag.rpartition("}")[2]
        element.attrib.clear()
        element.attrib.update(attributes)
    view_box = root.get("viewBox", "0 0 1 1")
    width = float(view_box.split()[2])
    root.attrib.clear()
    root.attrib.update(
        {
            "viewBox": view_box,
            "class": css_class,
            "role": "img",
            "aria-label": description,
            "style": f"max-width:{width * 4 / 3:.0f}px",
        }
    )
    return ElementTree.tostring(root, encoding="unicode")


def write_picture(figure: Figure, path: Path, kind: str) -> None:
    """Write a figure as `png` or `svg`, the same bytes for the same figure."""
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "flywheel"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path, format=kind, dpi=160, metadata=metadata)


def _strip(element: ElementTree.Element) -> None:
    """Drop metadata, which holds addresses, and the style sheet, which would reach the page."""
    for child in list(element):
        name = child.tag.rpartition("}")[2]
        if name in ("metadata", "style"):
            element.remove(child)
        else:
            _strip(child)


def _themed(css: str) -> str:
    """Colours become variables; the font is the page's."""
    css = re.sub(r"font-family:[^;]*;?\s*", "", css)
    css = re.sub(r"font: ((?:[a-z0-9.]+ )*?[0-9.]+px)[^;]*", r"font: \1 var(--sans)", css)
    for colour, variable in CSS_COLOURS.items():
        css = css.replace(colour, f"var({variable})")
    return css.replace("#ffffff", "var(--paper)")
