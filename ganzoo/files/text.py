"""Text that others have written, on its way to people: cleaned once, where it is read; escaped where it is shown."""

from __future__ import annotations

import re

LONGEST = 2000
"""Characters that are kept of one text."""

# Controls (a terminal obeys them), surrogates (no encoding has them), marks that turn the order of letters round or
# take no room, and separators of lines.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def clean(text: str, limit: int = LONGEST) -> str:
    """`text` with every character that does something, rather than show something, as U+FFFD; at most `limit` long."""
    text = _UNSAFE.sub("\ufffd", text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"


def many(number: int, what: str) -> str:
    """ "1 seed", "1,200 seeds"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def csv_cell(text: str) -> str:
    """For a cell of text: what a spreadsheet would take for a formula gets an apostrophe in front, which it hides."""
    return _FORMULA.sub(r"\1'\2", text)


# Also after a semicolon, which ends a cell where the comma is the decimal mark.
_FORMULA = re.compile(r"((?:^|;)\s*)([=+\-@\uff1d\uff0b\uff0d\uff20])")

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def holds_controls(text: str) -> bool:
    """Whether there is a control character or half a surrogate pair in `text`, which no setting needs."""
    return _CONTROL.search(text) is not None


def markdown(text: str) -> str:
    """`text` as nothing but text, in a Markdown table or line: no columns, markup, lists, headings, links, mentions."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]~#$])", r"\\\1", text)
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\_", text)  # within a word it is no markup
    text = re.sub(r"^\s*([-+=])", r"\\\1", text)
    text = re.sub(r"^\s*(\d+)([.)])", r"\1\\\2", text)
    text = text.replace("|", "&#124;")  # some readers know no \|
    text = re.sub(r"(?i)\b(https?|ftp|mailto)(:)", r"\1&#58;", text)  # GitHub makes links of bare addresses
    # GitHub looks for addresses of mail and for names in the text that it has rendered: no escape keeps it from that.
    return re.sub(r"(?i)\bwww\.", "www&#46;", text).replace("@", "\uff20")
