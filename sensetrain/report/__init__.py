"""The report of a run: one self-contained HTML page."""

from sensetrain.report.page import write_report

__all__ = ["write_report"]
