"""`--dataset parquet:FILE`: images in Parquet files, as Hugging Face datasets have them. pyarrow is imported when it is
used.
"""

from __future__ import annotations

from ganzoo import Dataset, Setting, hookimpl
from ganzoo.zoo.builtin import FOLDER_SETTINGS

GANZOO_API = 2


@hookimpl
def register_datasets() -> list[Dataset]:
    return [
        Dataset(
            name="parquet",
            target="ganzoo_parquet.dataset:load_parquet",
            takes_path=True,
            labelled=None,
            settings=(
                *FOLDER_SETTINGS,
                Setting(
                    name="image", default="image", doc="column of the images: encoded files, or structs with bytes"
                ),
                Setting(name="label", default="label", doc="column of the labels; where there is none: unlabelled"),
            ),
            summary="parquet:FILE, FOLDER or pattern, as Hugging Face datasets have it (extra: parquet)",
        )
    ]
