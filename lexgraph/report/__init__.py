"""The graph as one self-contained HTML page."""

from lexgraph.report.page import write_report

__all__ = ["write_report"]
