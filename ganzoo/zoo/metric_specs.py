"""The built-in metrics, torch-free: names, settings, what they need, papers."""

from __future__ import annotations

from ganzoo.zoo.specs import Metric, Setting

METRICS: list[Metric] = [
    Metric(
        name="fid",
        target="ganzoo.metrics.fid:FrechetDistance",
        keys=("fid",),
        higher_is_better={"fid": False},
        needs=("pool", "full-rank"),
        settings=(
            Setting(name="allow_rank_deficient", default=False, doc="accept no more images than feature dimensions"),
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
            Setting(name="subset_size", default=1000, minimum=2, doc="images per subset, at most as many as there are"),
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
            Setting(name="nearest_k", default=5, minimum=1, doc="the neighbour whose distance is the radius of a ball"),
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
            Setting(name="nearest_k", default=5, minimum=1, doc="the neighbour whose distance is the radius of a ball"),
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
