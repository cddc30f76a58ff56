"""The HTML report: reads the warehouse, decides nothing.

Importing this package imports matplotlib; import it only where a report is written.
"""

from flywheel.report.render import write_curve_picture, write_report

__all__ = ["write_curve_picture", "write_report"]
