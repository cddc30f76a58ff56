"""What dbt says while it works, as far as anybody listens."""

import os
from typing import Any

from dbt_common.events import event_manager_client
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager

FILE_LEVEL = "DBT_LOG_LEVEL_FILE"
"""dbt's environment variable for how much its log file holds; `flywheel` asks for info."""


class _Sparing(EventManager):
    """Drops what is only for debugging before it becomes a message.

    dbt makes a message of every event, three thousand in a small build, and asks afterwards who
    wants it. Nobody does unless the log file is to hold all.
    """

    def fire_event(
        self, e: BaseEvent, level: EventLevel | None = None, *others: Any, **named: Any
    ) -> None:
        is_debug = (level or e.level_tag()) in (EventLevel.DEBUG, EventLevel.TEST)
        if is_debug and os.environ.get(FILE_LEVEL, "info") != "debug":
            return
        super().fire_event(e, level, *others, **named)


def listen() -> None:
    """Take the place of dbt's own event manager, which prints until a command sets up its log."""
    if not isinstance(event_manager_client.get_event_manager(), _Sparing):
        event_manager_client.ctx_set_event_manager(_Sparing())
