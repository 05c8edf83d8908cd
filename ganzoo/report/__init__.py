"""`ganzoo report`: runs as one self-contained HTML page, or as a folder for a static host. Torch-free."""

from ganzoo.report.page import make_report, make_site

__all__ = ["make_report", "make_site"]
