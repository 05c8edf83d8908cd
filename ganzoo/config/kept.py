"""What `train.keep` says, and the same words said to `ganzoo clean`. Torch-free."""

from __future__ import annotations

from ganzoo.errors import SettingError
from ganzoo.files.text import clean

KEEP = ("last", "best", "state")
"""What `train.keep` names, in order. All of it is the default."""


def kept_of(keep: str) -> frozenset[str]:
    """`train.keep` as some of `KEEP`, last among them, or as {"all"}.

    Raises:
        SettingError: it is none of that.
    """
    words = frozenset(word.strip() for word in keep.lower().split(","))
    if words == {"all"} or ("last" in words and words <= set(KEEP)):
        return words
    raise SettingError(
        f"keep is {clean(repr(keep), 100)}, which is neither all nor a choice with last in it",
        f"say all, or last with as much of the rest as is to stay: {','.join(KEEP)}",
    )
