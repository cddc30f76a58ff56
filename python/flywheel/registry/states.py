"""The states of a model, and the moves between them."""

CHALLENGER = "challenger"
LATEST = "latest"
CANARY = "canary"
CHAMPION = "champion"
RETIRED = "retired"
ROLLED_BACK = "rolled_back"
UNREGISTERED = "unregistered"
RAMPED = "ramped"
"""Outcome of a deployment that a larger share of the same canary took over from."""

# Every move a model can make; whatever is not here is refused.
ALLOWED_MOVES: frozenset[tuple[str | None, str]] = frozenset(
    {
        (None, CHALLENGER),
        (CHALLENGER, CANARY),
        (CHALLENGER, RETIRED),
        (CANARY, CANARY),  # to a larger share of the users
        (CANARY, CHAMPION),
        (CANARY, ROLLED_BACK),
        (CANARY, RETIRED),
        (CHAMPION, RETIRED),
        (CHAMPION, ROLLED_BACK),
        (RETIRED, CHAMPION),
        # fresher behavioural features
        (CANARY, CANARY),
        (CHAMPION, CHAMPION),
    }
)
