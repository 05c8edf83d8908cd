"""A run as a notebook shows it. Torch-free."""

from __future__ import annotations

import base64
import io
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from ganzoo.config.run_config import dataset_label
from ganzoo.errors import RunError
from ganzoo.files.text import clean

if TYPE_CHECKING:
    from PIL.Image import Image

SCORES = {
    "fid": "FID",
    "is": "IS",
    "precision": "precision",
    "recall": "recall",
    "modes": "modes",
    "cond_acc": "accuracy %",
    "memorised": "memorised %",
}
"""Key -> heading of the scores that are shown; the others are in `run.values`."""


class Shown(Protocol):
    """What is looked at of a `ganzoo.Run`."""

    path: Path

    @property
    def config(self) -> dict[str, Any]: ...
    @property
    def result(self) -> dict[str, Any] | None: ...
    @property
    def failure(self) -> str: ...
    @property
    def values(self) -> dict[str, float]: ...
    @property
    def stats(self) -> list[dict[str, Any]]: ...
    @property
    def last_grid(self) -> Image | None: ...


def run_html(run: Shown) -> str:
    """What it is, its scores and those of real images, its latest grid, and where it lies. Of a run that is not
    finished: how far it has come. Of a damaged one: that.
    """
    try:
        return f'<div class="ganzoo-run">{_head(run)}{_scores(run)}{_grid(run)}{_place(run)}</div>'
    except RunError as error:
        return f"<p>{text(repr(run))}<br>{text(error.cause)}</p>"


def text(value: object) -> str:
    """For HTML: nothing but text, whoever wrote it."""
    return escape(clean(str(value)))


def picture_html(image: Image, about: str) -> str:
    """An image inside the page, its pixels not smoothed; `about`: for whoever cannot see it."""
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    style = "image-rendering:pixelated;max-width:100%"
    return f'<img src="data:image/png;base64,{data}" alt="{text(about)}" style="{style}">'


def _head(run: Shown) -> str:
    config, result = run.config, run.result
    pieces = [config["objective"]["name"]]
    pieces += [name for kind in ("regularizers", "augmentations") for name in config.get(kind) or {}]
    dataset = dataset_label(str(config["dataset"]["name"]), config["dataset"])
    said = f"{' + '.join(pieces)}, {dataset}, seed {config['seed']}"
    if config.get("name"):
        said += f", by {config['name']}"
    return f"<p><b>{text(config['variant']['name'])}</b> ({text(said)}): {text(_state(run, result))}</p>"


def _state(run: Shown, result: dict[str, Any] | None) -> str:
    if result is not None and result["diverged"]:
        return f"diverged after {result['kimg']:.4g} kimg: {result['diverged']}"
    if result is not None and not run.failure:
        return f"{result['kimg']:.4g} kimg in {result['seconds']['wall']:.0f} s"
    ticks = run.stats
    come = f"{ticks[-1]['kimg']:.4g} kimg" if ticks else "no step yet"
    return f"{come}; {run.failure or 'not finished, the same call continues it'}"


def _scores(run: Shown) -> str:
    """A table: the run, and real images scored as if they had been generated. "": there are none."""
    values = run.values
    keys = [key for key in SCORES if key in values]
    if not keys:
        return ""
    floors = (run.result or {}).get("floors") or []
    rows = [("this run", values), *((f"real: {floor['name']}", floor["values"]) for floor in floors)]
    head = "".join(f"<th>{escape(SCORES[key])}</th>" for key in keys)
    body = "".join(
        f"<tr><th>{text(name)}</th>{''.join(f'<td>{_number(numbers.get(key))}</td>' for key in keys)}</tr>"
        for name, numbers in rows
    )
    note = "one seed: no interval; ganzoo.bench(..., seeds=3) gives one"
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table><p><small>{note}</small></p>"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _grid(run: Shown) -> str:
    image = run.last_grid
    if image is None:
        return "<p>no picture yet</p>"
    about = f"grid of images generated after {image.info['kimg']:g} kimg by {run.config['variant']['name']}"
    return f"<p>{picture_html(image, about)}</p>"


def _place(run: Shown) -> str:
    """The directory; a link where the notebook's server can follow it, which serves what lies below the notebook."""
    path = os.path.relpath(run.path) if os.path.isabs(run.path) else os.fspath(run.path)
    if path.startswith(os.pardir) or os.path.isabs(path):
        return f"<p><code>{text(run.path)}</code></p>"
    link = quote(path.replace(os.sep, "/"))
    return f'<p><a href="{escape(link)}/"><code>{text(path)}</code></a></p>'
