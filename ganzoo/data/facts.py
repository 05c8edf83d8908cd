"""What was read when a dataset was opened: said in one line, and kept in the result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What became of a dataset's source. Torch-free."""

    images: int

    def to_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {"images": self.images}

    def line(self, label: str) -> str:
        return f"{label}: {self.images:,} images"
