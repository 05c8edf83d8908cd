"""The core's own plugin: objectives, datasets, feature networks, metrics and callbacks, through the same hooks."""

from __future__ import annotations

from ganzoo import Callback, Dataset, Features, Metric, Objective, Setting, hookimpl
from ganzoo.objective_specs import OBJECTIVES

GANZOO_API = 1

_IDX = "ganzoo.data.idx"
_TORCHVISION = "ganzoo.data.torchvision_sets"


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
            settings=(
                Setting(name="color", default="rgb", choices=("gray", "rgb"), doc="gray or rgb"),
                Setting(name="labels", default=True, doc="whether class folders give labels"),
            ),
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
    ours = "trained by `python -m ganzoo.features.train_classifier`; accuracy in features/weights/classifiers.json"
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
    return [
        Metric(
            name="fid",
            target="ganzoo.metrics.fid:FrechetDistance",
            keys=("fid",),
            higher_is_better={"fid": False},
            needs=("pool", "full-rank"),
            settings=(
                Setting(
                    name="allow_rank_deficient", default=False, doc="accept no more images than feature dimensions"
                ),
            ),
            summary="Frechet distance of features",
            paper="Heusel et al., 2017, arXiv:1706.08500",
        ),
        Metric(
            name="fid-infinity",
            target="ganzoo.metrics.fid_infinity:FrechetDistanceInfinity",
            keys=("fid_inf",),
            higher_is_better={"fid_inf": False},
            settings=(Setting(name="points", default=15, minimum=2, doc="numbers of images the line is fitted to"),),
            summary="FID extrapolated to infinitely many generated images",
            paper="Chong and Forsyth, Effectively Unbiased FID and Inception Score, 2020, arXiv:1911.07023",
        ),
        Metric(
            name="is",
            target="ganzoo.metrics.inception_score:InceptionScore",
            keys=("is", "is_std"),
            higher_is_better={"is": True},
            needs=("logits",),
            settings=(Setting(name="splits", default=10, minimum=1, doc="parts of which the score is the mean"),),
            summary="Inception score, 10 splits",
            paper="Salimans et al., Improved Techniques for Training GANs, 2016, arXiv:1606.03498",
        ),
        Metric(
            name="kid",
            target="ganzoo.metrics.kid:KernelDistance",
            keys=("kid", "kid_std", "kid_se"),
            higher_is_better={"kid": False},
            settings=(
                Setting(name="subsets", default=100, minimum=1, doc="random subsets of which KID is the mean"),
                Setting(
                    name="subset_size", default=1000, minimum=2, doc="images per subset, at most as many as there are"
                ),
            ),
            summary="kernel distance of features, unbiased, 100 subsets of 1,000",
            paper="Binkowski et al., Demystifying MMD GANs, 2018, arXiv:1801.01401",
        ),
        Metric(
            name="prdc",
            target="ganzoo.metrics.prdc:PrecisionRecallDensityCoverage",
            keys=("precision", "recall", "density", "coverage"),
            higher_is_better={"precision": True, "recall": True, "density": True, "coverage": True},
            settings=(
                Setting(
                    name="nearest_k", default=5, minimum=1, doc="the neighbour whose distance is the radius of a ball"
                ),
                Setting(name="max_images", default=10_000, minimum=2, doc="images of each side that are used, at most"),
            ),
            summary="precision and recall, density and coverage, 5 nearest neighbours",
            paper="Kynkaanniemi et al., 2019, arXiv:1904.06991; Naeem et al., 2020, arXiv:2002.09797",
        ),
        Metric(
            name="conditional",
            target="ganzoo.metrics.conditional:ConditionalAccuracy",
            keys=("cond_acc",),
            higher_is_better={"cond_acc": True},
            needs=("logits", "labels", "classes"),
            summary="percent of images the classifier finds in the class they were asked for",
        ),
        Metric(
            name="class-fid",
            target="ganzoo.metrics.per_class:ClassFrechetDistance",
            keys=("class_fid",),
            higher_is_better={"class_fid": False},
            needs=("pool", "labels"),
            summary="FID within each class, and its mean",
            paper="Miyato and Koyama, cGANs with Projection Discriminator, 2018, arXiv:1802.05637 (intra FID)",
        ),
        Metric(
            name="class-recall",
            target="ganzoo.metrics.per_class:ClassRecall",
            keys=("class_recall",),
            higher_is_better={"class_recall": True},
            needs=("pool", "labels"),
            settings=(
                Setting(
                    name="nearest_k", default=5, minimum=1, doc="the neighbour whose distance is the radius of a ball"
                ),
                Setting(name="max_images", default=2_000, minimum=2, doc="images of each class and side used, at most"),
            ),
            summary="recall within each class, and its mean",
            paper="Kynkaanniemi et al., 2019, arXiv:1904.06991",
        ),
        Metric(
            name="cas",
            target="ganzoo.metrics.cas:ClassificationAccuracyScore",
            keys=("cas",),
            higher_is_better={"cas": True},
            needs=("pixels", "labels", "test"),
            settings=(Setting(name="epochs", default=10, minimum=1, doc="passes over the generated images"),),
            summary="percent of real test images right, by a classifier trained on generated ones; slow, not a default",
            paper="Ravuri and Vinyals, Classification Accuracy Score, 2019, arXiv:1905.10887",
        ),
        Metric(
            name="memorisation",
            target="ganzoo.metrics.memorisation:Memorisation",
            needs=("pool", "fresh"),
            keys=("memorised", "nn_closer"),
            higher_is_better={"memorised": False, "nn_closer": False},
            settings=(
                Setting(
                    name="quantile",
                    default=0.01,
                    minimum=0.0,
                    maximum=1.0,
                    doc="share of fresh real images that are as near to a training image as a copy is taken to be",
                ),
                Setting(name="max_images", default=10_000, minimum=1, doc="generated images looked at, at most"),
            ),
            summary="percent of images as near to a training image as the nearest 1 % of fresh real images",
            paper="after Meehan et al., A Three Sample Test to Detect Data Copying, 2020, arXiv:2004.05675",
        ),
        Metric(
            name="classes",
            target="ganzoo.metrics.conditional:ClassBalance",
            keys=("modes", "class_kl"),
            higher_is_better={"modes": True, "class_kl": False},
            needs=("logits", "classes"),
            settings=(
                Setting(
                    name="min_share",
                    default=0.1,
                    minimum=0.0,
                    maximum=1.0,
                    doc="a class is covered from this part of its real share on",
                ),
            ),
            summary="classes covered, and KL of the class histogram to the real one in nats",
        ),
    ]


@hookimpl
def register_callbacks() -> list[Callback]:
    return [
        Callback(
            name="tensorboard",
            target="ganzoo.tensorboard:TensorBoard",
            summary="losses, metrics and grids for TensorBoard (extra: tensorboard)",
        ),
    ]
