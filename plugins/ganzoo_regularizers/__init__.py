"""The literature's regularizers, for any variant and objective. Torch-free: the losses are in the modules beside it.

`weight` and `every` of a spec are the paper's; they are multiplied in by the engine, so terms carry relative weights.
"""

from __future__ import annotations

from ganzoo import Regularizer, Setting, hookimpl

GANZOO_API = 2

_MESCHEDER = "Mescheder et al., Which Training Methods for GANs do actually Converge?, 2018, arXiv:1801.04406"

GRADIENTS = [
    Regularizer(
        name="gp",
        target="ganzoo_regularizers.gradients:gp",
        summary="D's gradient norm is drawn to 1 between real and generated images; the penalty of wgan-gp",
        paper="Gulrajani et al., Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028",
        settings=(Setting(name="target", default=1.0, minimum=0.0, doc="Gradient norm that costs nothing."),),
        weight=10.0,
        per_sample_gradients=True,
    ),
    Regularizer(
        name="gp-lp",
        target="ganzoo_regularizers.gradients:gp_lp",
        summary="as gp, but gradient norms below 1 cost nothing",
        paper="Petzka et al., On the regularization of Wasserstein GANs, 2018, arXiv:1709.08894",
        settings=(Setting(name="target", default=1.0, minimum=0.0, doc="Largest gradient norm that costs nothing."),),
        weight=10.0,
        per_sample_gradients=True,
    ),
    Regularizer(
        name="r1",
        target="ganzoo_regularizers.gradients:r1",
        summary="half D's squared gradient norm at real images; the weight is the paper's gamma",
        paper=_MESCHEDER,
        weight=10.0,
        per_sample_gradients=True,
    ),
    Regularizer(
        name="r2",
        target="ganzoo_regularizers.gradients:r2",
        summary="half D's squared gradient norm at generated images; the weight is the paper's gamma",
        paper=_MESCHEDER,
        weight=10.0,
        per_sample_gradients=True,
    ),
    Regularizer(
        name="dragan",
        target="ganzoo_regularizers.gradients:dragan",
        summary="D's gradient norm is drawn to 1 around real images",
        paper="Kodali et al., On Convergence and Stability of GANs, 2017, arXiv:1705.07215",
        settings=(
            Setting(name="target", default=1.0, minimum=0.0, doc="Gradient norm that costs nothing (k)."),
            Setting(
                name="noise",
                default=0.5,
                minimum=0.0,
                doc="Standard deviation of the noise on real images, in standard deviations of the batch's pixels.",
            ),
        ),
        weight=10.0,
        per_sample_gradients=True,
    ),
]

CONSISTENCY = [
    Regularizer(
        name="cr",
        target="ganzoo_regularizers.consistency:cr",
        summary="D says the same of real images and of their augmentations",
        paper="Zhang et al., Consistency Regularization for Generative Adversarial Networks, 2020, arXiv:1910.12027",
        weight=10.0,
        needs=("augmentation", "images"),
    ),
    Regularizer(
        name="bcr",
        target="ganzoo_regularizers.consistency:bcr",
        summary="as cr, of real and of generated images",
        paper="Zhao et al., Improved Consistency Regularization for GANs, 2020, arXiv:2002.04724",
        settings=(
            Setting(
                name="fake_weight",
                default=1.0,
                minimum=0.0,
                doc="Weight of the part of generated images, relative to that of real ones.",
            ),
        ),
        weight=10.0,
        needs=("augmentation", "images"),
    ),
    Regularizer(
        name="zcr",
        target="ganzoo_regularizers.consistency:zcr",
        summary="small changes of z change G's images, but not what D says of them",
        paper="Zhao et al., Improved Consistency Regularization for GANs, 2020, arXiv:2002.04724",
        settings=(
            Setting(name="noise", default=0.03, minimum=0.0, doc="Standard deviation of the normal noise added to z."),
            Setting(
                name="g_weight",
                default=0.1,
                minimum=0.0,
                doc="Weight of G's part relative to D's: lambda_gen / lambda_dis, 0.5 / 5.",
            ),
        ),
        weight=5.0,
        needs=("images",),
    ),
]

STATISTICS = [
    Regularizer(
        name="lecam",
        target="ganzoo_regularizers.statistics:lecam",
        summary="logits are drawn to the moving average of the other side's",
        paper="Tseng et al., Regularizing Generative Adversarial Networks under Limited Data, 2021, arXiv:2104.03310",
        settings=(
            Setting(
                name="decay",
                default=0.99,
                minimum=0.0,
                maximum=1.0,
                doc="Part of the moving averages that stays at each computation of the term.",
            ),
        ),
        weight=0.3,
    ),
    Regularizer(
        name="feature-matching",
        target="ganzoo_regularizers.statistics:feature_matching",
        summary="the mean of D's features of generated images is drawn to that of real ones",
        paper="Salimans et al., Improved Techniques for Training GANs, 2016, arXiv:1606.03498",
        needs=("features",),
    ),
    Regularizer(
        name="top-k",
        target="ganzoo_regularizers.statistics:top_k",
        progress=True,
        summary="G learns from those of its images that D takes most for real",
        paper="Sinha et al., Top-k Training of GANs, 2020, arXiv:2002.06224",
        settings=(
            Setting(
                name="smallest",
                default=0.5,
                minimum=0.0,
                maximum=1.0,
                doc="Part of the batch that is left in the end (nu), at least one image.",
            ),
            Setting(
                name="until",
                default=1.0,
                minimum=0.01,
                maximum=1.0,
                doc="Part of the run after which no more is left out; k decays exponentially until then.",
            ),
        ),
    ),
]

WEIGHTS = [
    Regularizer(
        name="path-length",
        target="ganzoo_regularizers.weights:path_length",
        summary="steps in w, or z, change images by the same length everywhere",
        paper="Karras et al., Analyzing and Improving the Image Quality of StyleGAN, 2020, arXiv:1912.04958",
        settings=(
            Setting(
                name="decay",
                default=0.99,
                minimum=0.0,
                maximum=1.0,
                doc="Part of the moving average of lengths that stays at each computation of the term.",
            ),
            Setting(
                name="shrink",
                default=2,
                minimum=1,
                doc="The term looks at 1 / shrink of the batch, at least at one z.",
            ),
        ),
        weight=2.0,
        every=4,
    ),
    Regularizer(
        name="orthogonal",
        target="ganzoo_regularizers.weights:orthogonal",
        summary="filters of a layer are drawn to be orthogonal, their norms are free",
        paper="Brock et al., Large Scale GAN Training for High Fidelity Natural Image Synthesis, 2018, "
        "arXiv:1809.11096",
        settings=(
            Setting(
                name="phases",
                default="G",
                choices=("G", "D", "both"),
                doc="Whose weights: those of G, as in the paper, of D, or of both.",
            ),
        ),
        weight=1e-4,
    ),
]


@hookimpl
def register_regularizers() -> list[Regularizer]:
    return [*GRADIENTS, *CONSISTENCY, *STATISTICS, *WEIGHTS]
