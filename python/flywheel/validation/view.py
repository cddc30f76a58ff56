"""The page view of the Data Docs: escaped, without scripts, readable without a network.

Great Expectations' own pages put the values they quote into the page as they are, so a query that
somebody typed into a search box would run as a script in the browser of whoever looks at the
contracts. They also load their style, icons and scripts from half a dozen hosts. Here every text
is escaped, the scripts go, a small style sheet takes the place of the remote ones, and a
Content-Security-Policy forbids everything else. Importing this module imports Great Expectations:
do it inside a function.
"""

from html import escape
from typing import Any

from great_expectations.render.view import DefaultJinjaPageView
from jinja2 import BytecodeCache, pass_context
from jinja2.bccache import Bucket

from flywheel.validation.docs import load_style, stand_alone


class _CompiledTemplates(BytecodeCache):
    """Templates of this process: each section of the pages makes a view, and compiled its own."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _CompiledTemplates()


class EscapedPageView(DefaultJinjaPageView):
    """Great Expectations' page, made safe to open."""

    def __init__(self, **options: Any) -> None:
        """Load the style sheet; the options are Great Expectations' own."""
        super().__init__(**options)
        self._style = load_style()
        self.env.bytecode_cache = _COMPILED

    def render(self, document: Any, template: str | None = None, **options: Any) -> str:
        """Render one page that needs nothing but itself."""
        return stand_alone(super().render(document, template=template, **options), self._style)

    @pass_context
    def render_content_block(
        self, jinja_context: Any, content_block: Any, *args: Any, **options: Any
    ) -> Any:
        """Render one block; a text, or a list's texts, are escaped."""
        if isinstance(content_block, list):
            content_block = [
                item if _is_block(item) else escape(str(item)) for item in content_block
            ]
        elif not _is_block(content_block) and content_block is not None:
            return escape(str(content_block))
        return super().render_content_block(jinja_context, content_block, *args, **options)


def _is_block(item: Any) -> bool:
    if isinstance(item, list):
        return True
    kind = item.get("content_block_type") if hasattr(item, "get") else None
    return kind is not None or hasattr(item, "content_block_type")
