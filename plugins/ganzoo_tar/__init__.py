"""`--dataset tar:FILE`: images in tar files, with class folders or as WebDatasets, read where they lie."""

from __future__ import annotations

from ganzoo import Dataset, hookimpl
from ganzoo.zoo.builtin import FOLDER_SETTINGS

GANZOO_API = 2


@hookimpl
def register_datasets() -> list[Dataset]:
    return [
        Dataset(
            name="tar",
            target="ganzoo_tar.dataset:load_tar",
            takes_path=True,
            labelled=None,
            settings=FOLDER_SETTINGS,
            summary="tar:FILE or a pattern of files, as a folder of what is in them; WebDatasets (.cls)",
        )
    ]
