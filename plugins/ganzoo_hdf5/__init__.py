"""`--dataset hdf5:FILE`: arrays of images in an HDF5 file. h5py is imported when it is used."""

from __future__ import annotations

from ganzoo import Dataset, Setting, hookimpl

GANZOO_API = 2


@hookimpl
def register_datasets() -> list[Dataset]:
    return [
        Dataset(
            name="hdf5",
            target="ganzoo_hdf5.dataset:load_hdf5",
            takes_path=True,
            labelled=None,
            settings=(
                Setting(
                    name="images", default="images", doc="name of the array of images; groups with /: train/images"
                ),
                Setting(name="image_labels", default="labels", doc="of their labels; where there is none: unlabelled"),
                Setting(name="test_images", default="test_images", doc="of the test images"),
                Setting(name="test_labels", default="test_labels", doc="of their labels"),
                Setting(name="labels", default=True, doc="whether labels are read"),
            ),
            summary="hdf5:FILE, uint8 arrays 'images' and, if there are any, 'labels' (extra: hdf5)",
        )
    ]
