"""Results on disk in, self-contained HTML pages with pictures out."""

from sensetrain.report.page import write_report

__all__ = ["write_report"]
