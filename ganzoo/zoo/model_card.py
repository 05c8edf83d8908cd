"""The page beside exported models, for whoever gets them without the run: what they are, of what, how good.

Markdown with the header that the Hugging Face Hub reads (https://huggingface.co/docs/hub/model-cards), so that a folder
of models can be uploaded as it is. Torch-free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ganzoo.files.reading import MIB, Unreadable, read_inside
from ganzoo.files.writing import write_text
from ganzoo.zoo.models import markdown
from ganzoo.zoo.registry import Registry

CARD = "README.md"
MARK = "<!-- by ganzoo export, which writes it anew -->"

SCORES = {
    "fid": "FID {:.2f}",
    "kid": "KID {:.4f}",
    "is": "IS {:.2f}",
    "precision": "precision {:.2f}",
    "recall": "recall {:.2f}",
    "cond_acc": "{:.1f} % of the images show the class that was asked for",
    "memorised": "{:.1f} % memorised",
}


def write_card(registry: Registry, folder: Path, entries: Mapping[str, Mapping[str, Any]]) -> bool:
    """Write the card of all models of an index; False: there is a README.md of the user's own, which stays."""
    try:
        if MARK.encode() not in read_inside(folder, CARD, MIB):
            return False
    except FileNotFoundError:
        pass
    except Unreadable:  # a link, or too large: not ours
        return False
    write_text(folder / CARD, card(registry, entries))
    return True


def card(registry: Registry, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The page, as Markdown."""
    datasets = sorted({str(entry["config"]["dataset"]["name"]) for entry in entries.values()})
    kinds = {bool(entry.get("conditional")) for entry in entries.values()}
    head = ["---", "library_name: ganzoo", "tags:", "- gan", "- image-generation"]
    head += ["pipeline_tag: unconditional-image-generation"] if kinds == {False} else []  # there is none for classes
    head += ["datasets:", *(f"- {name}" for name in datasets), "---"]
    first = next(iter(entries))
    body = [
        MARK,
        "",
        "# Generators of adversarial networks",
        "",
        "Made by `ganzoo export`; `index.json` has all that is known of each. In this folder:",
        "",
        f"    ganzoo sample {entries[first]['file']}",
        "",
        "or, from Python, as a PIL image:",
        "",
        "```python",
        "import ganzoo",
        "",
        f'ganzoo.load("{entries[first]["file"]}").grid(16)',
        "```",
        "",
        markdown(entries),
        "",
        "Scores of two models can be compared where the protocol is the same: FID depends on the feature network, on "
        "the images that it is taken against, and on how many there are.",
    ]
    for name, entry in entries.items():
        body += ["", f"## {name}", "", *_about(registry, name, entry)]
    return "\n".join([*head, *body]) + "\n"


def _about(registry: Registry, name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    variant = name.partition("@")[0]
    if registry.has("variant", variant):
        spec = registry.variant(variant)
        yield f"{spec.summary[:1].upper()}{spec.summary[1:]}" + (f" ({spec.paper})." if spec.paper else ".")
        yield ""
    channels, height, width = entry["shape"]
    classes = f", of {entry['num_classes']} classes to choose from" if entry.get("conditional") else ""
    yield f"- Makes: {width}x{height} pixels, {'gray' if channels == 1 else 'colour'}{classes}."
    protocol, dataset = entry["protocol"], str(entry["config"]["dataset"]["name"])
    yield (
        f"- Trained: on `{dataset}` (SHA-256 of its images: {str(protocol.get('dataset_sha256'))[:12]}), "
        f"{entry['kimg']:g} kimg, seed {entry.get('seed')}; the {entry.get('snapshot')} snapshot, which was not "
        f"chosen by its score. `{entry['command']}`"
    )
    trained = entry.get("trained") or {}
    versions = trained.get("packages") or {}
    made = [trained.get("device"), *(f"{key} {versions[key]}" for key in ("ganzoo", "torch") if key in versions)]
    made += [f"{trained['seconds']:.0f} s"] if trained.get("seconds") else []
    yield f"- On: {', '.join(str(one) for one in made if one) or 'not known'}; stored as {entry.get('dtype')}."
    told = [form.format(entry["values"][key]) for key, form in SCORES.items() if entry["values"].get(key) is not None]
    yield (
        f"- Scores, of the stored weights: {', '.join(told) or 'none'}; {protocol.get('generated_count')} images "
        f"against {protocol.get('reference_count')} of the {protocol.get('split')} split, as "
        f"`{protocol.get('features')}` sees them."
    )
    modes = entry["values"].get("modes")
    if modes is not None and modes < entry.get("num_classes", 0):
        yield f"- Limits: only {modes:g} of the {entry['num_classes']} classes appear."
