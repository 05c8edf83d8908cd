"""`ganzoo report`: runs as one self-contained HTML page. Torch-free."""

from ganzoo.report.page import make_report

__all__ = ["make_report"]
