"""Text from files, folders and archives, made fit for terminals, tables and JSON."""

from __future__ import annotations

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# C0 and C1 controls with newlines and DEL; zero-width and direction marks; separators of lines and paragraphs;
# embeddings and overrides of direction; the byte order mark; lone surrogates, which stand for bytes that are no UTF-8.
_UNFIT = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff\\ud800-\\udfff]",
)


def clean(text: str, limit: int = 2000) -> str:
    """`text` on one line of at most `limit` characters, each character that is none to be shown as U+FFFD."""
    if len(text) > limit:
        text = text[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return _UNFIT.sub(REPLACEMENT, text)
