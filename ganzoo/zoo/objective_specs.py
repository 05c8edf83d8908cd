"""The objectives that ship with ganzoo, described without importing torch; the losses are in `ganzoo.objectives`."""

from __future__ import annotations

from ganzoo.zoo.specs import Objective, Setting

_REAL_LABEL = Setting(
    name="real_label",
    default=1.0,
    minimum=0.5,
    maximum=1.0,
    doc="Target probability of real images in D's loss: 1 is none, 0.9 the classic one-sided label smoothing.",
)

OBJECTIVES: list[Objective] = [
    Objective(
        name="minimax",
        target="ganzoo.objectives:minimax",
        summary="the original two-player game; its generator loss saturates",
        paper="Goodfellow et al., Generative Adversarial Networks, 2014, arXiv:1406.2661",
        settings=(_REAL_LABEL,),
    ),
    Objective(
        name="non-saturating",
        target="ganzoo.objectives:non_saturating",
        summary="cross-entropy for D, and for G the log-probability of being taken for real",
        paper="Goodfellow et al., Generative Adversarial Networks, 2014, arXiv:1406.2661",
        settings=(_REAL_LABEL,),
    ),
    Objective(
        name="least-squares",
        target="ganzoo.objectives:least_squares",
        summary="squared distance of D's output to 1 for real and 0 for generated images",
        paper="Mao et al., Least Squares Generative Adversarial Networks, 2016, arXiv:1611.04076",
    ),
    Objective(
        name="hinge",
        target="ganzoo.objectives:hinge",
        summary="margin loss for D, linear loss for G",
        paper="Lim & Ye, Geometric GAN, 2017, arXiv:1705.02894; Miyato et al., 2018, arXiv:1802.05957",
    ),
    Objective(
        name="wasserstein",
        target="ganzoo.objectives:wasserstein",
        summary="difference of critic means, with the critic's weights clipped",
        paper="Arjovsky et al., Wasserstein GAN, 2017, arXiv:1701.07875",
        settings=(
            Setting(
                name="clip",
                default=0.01,
                minimum=1e-6,
                optional=True,
                doc="Every parameter of the critic is clamped to [-clip, clip] after its step; none: it is not.",
            ),
        ),
        defaults={"train.d_steps": 5, "train.optimizer": "rmsprop", "train.g_lr": 5e-5, "train.d_lr": 5e-5},
        # At the paper's rate so short a run hardly moves.
        presets={"laptop": {"train.g_lr": 5e-4, "train.d_lr": 5e-4}},
    ),
    Objective(
        name="wgan-gp",
        target="ganzoo.objectives:wgan_gp",
        summary="difference of critic means, with a penalty on the norm of the critic's gradient",
        paper="Gulrajani et al., Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028",
        settings=(
            Setting(name="gp_weight", default=10.0, minimum=0.0, doc="Weight of the gradient penalty (lambda)."),
            Setting(name="gp_target", default=1.0, minimum=0.0, doc="Gradient norm that costs nothing (k)."),
        ),
        per_sample_gradients=True,
        defaults={
            "train.d_steps": 5,
            "train.optimizer": "adam",
            "train.g_lr": 1e-4,
            "train.d_lr": 1e-4,
            "train.beta1": 0.0,
            "train.beta2": 0.9,
        },
        # Five critic steps leave the generator too few of its own in so short a run.
        presets={
            "laptop": {"train.d_steps": 2, "train.g_lr": 1e-3, "train.d_lr": 1e-3},
            "laptop@digits": {"train.d_steps": 1, "train.d_lr": 5e-4},  # as benchmarks/search.py found for wgan-gp
        },
    ),
    Objective(
        name="relativistic-average",
        target="ganzoo.objectives:relativistic_average",
        summary="cross-entropy of each image's logit less the mean of the other side's",
        paper="Jolicoeur-Martineau, The relativistic discriminator, 2018, arXiv:1807.00734",
    ),
    Objective(
        name="relativistic-pairing",
        target="ganzoo.objectives:relativistic_pairing",
        summary="cross-entropy of the difference between a real and a generated image's logits",
        paper="Jolicoeur-Martineau, 2018, arXiv:1807.00734; Huang et al., The GAN is dead; long live the GAN!, 2025, "
        "arXiv:2501.05441",
    ),
    Objective(
        name="began",
        target="ganzoo.objectives:began",
        summary="energies of real and generated images, kept in a ratio by a weight that moves",
        paper="Berthelot et al., BEGAN: Boundary Equilibrium Generative Adversarial Networks, 2017, arXiv:1703.10717",
        settings=(
            Setting(
                name="gamma",
                default=0.5,
                minimum=0.0,
                maximum=1.0,
                doc="Diversity ratio: the energy of generated images, as a part of that of real ones.",
            ),
            Setting(
                name="speed",
                default=1e-3,
                minimum=0.0,
                doc="Gain of k, the weight of generated images in D's loss, per update of D (lambda_k).",
            ),
        ),
        needs=("energy",),
    ),
]
