"""How figures look: a paper's column, embedded fonts, colours that everyone tells apart."""

from __future__ import annotations

from typing import Any

from ganzoo.errors import UserError

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito, Color universal design, 2008, without the yellow that white paper swallows."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
DASHES = ("-", "--", "-.", ":")
"""With the colours, so that neither colour blindness nor a grey printer mixes two rows up."""

COLUMN_WIDTH = 3.25
"""Inches: of a column in the styles of NeurIPS' neighbours with two columns (ICML, CVPR, IEEE)."""

RC = {
    "pdf.fonttype": 42,  # TrueType, embedded: what conferences ask for
    "ps.fonttype": 42,
    "svg.fonttype": "path",  # the same wherever it is opened
    "svg.hashsalt": "ganzoo",  # the same figure is the same file
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.0,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.3,
    "grid.color": "#cccccc",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.dpi": 300,
    "figure.constrained_layout.use": True,
}


def matplotlib_here() -> Any:
    """The package, which is told not to look for a display. Raises UserError: it is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise UserError(
            "figures need matplotlib, which is not installed", "install the extra: uv pip install matplotlib"
        ) from None
    return matplotlib


def look(place: int) -> tuple[str, str, str]:
    """(colour, marker, dash) of the row at a place of its table: no two of the first seventy are alike."""
    return (
        COLOURS[place % len(COLOURS)],
        MARKERS[place % len(MARKERS)],
        DASHES[place // len(COLOURS) % len(DASHES)],
    )
