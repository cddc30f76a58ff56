"""Data contracts, checked by Great Expectations inside the warehouse.

Great Expectations takes seconds to import, so nothing here imports it before `validate` runs.
"""

from flywheel.validation.report import RuleResult, Skipped, ValidationFailed, ValidationReport
from flywheel.validation.run import validate
from flywheel.validation.suites import GATES, Rule, Suite, load_suites

__all__ = [
    "GATES",
    "Rule",
    "RuleResult",
    "Skipped",
    "Suite",
    "ValidationFailed",
    "ValidationReport",
    "load_suites",
    "validate",
]
