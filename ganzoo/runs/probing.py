"""What networks are asked once before they are trained, beside whether they can be called: their images' range, and
whether D judges each image by itself where gradients of single images are penalised.

Nothing is drawn from the run's random generators, and the networks are left as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganzoo.config.run_config import RunConfig
from ganzoo.data import Images, to_float
from ganzoo.engine.device import preserved_random_state
from ganzoo.engine.game import Game
from ganzoo.engine.probes.independence import depends_on_others
from ganzoo.gan import GAN, named
from ganzoo.runs.snapshots import wants_gradients_per_sample
from ganzoo.zoo.calls import blame
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Variant

SAMPLES = 4
"""Images whose range is looked at, and real ones that D is asked about."""

ROUNDING, GROSS = 1e-3, 20.0
"""Beyond [-1, 1] by which images are outside of it, and their size from which they have another range altogether."""

RANGE_CURE = "images are in [-1, 1]: end the generator in tanh"


def check_samples_apart(
    registry: Registry, config: RunConfig, game: Game, images: Images, device: torch.device
) -> None:
    """Where a loss differentiates each logit by its own image alone, D has to make it so. Batch norm is looked for when
    networks are built; here, D itself is asked. One that says `batch_dependent` is believed, and free of it where its
    paper penalises the sum of logits (`summed_penalties`).

    Raises:
        BrokenPlugin: D mixes the samples of a batch.
    """
    if game.gan.summed_penalties:
        return
    variant = registry.variant(config.variant.name)
    wanting = wants_gradients_per_sample(registry, config)
    if wanting is None:
        term = next((term.name for term in game.terms if term.per_sample_gradients), None)
        if term is None:
            return
        wanting = f"the term '{term}'"
    if not game.gan.batch_dependent:
        index = torch.arange(SAMPLES) % len(images)
        real = to_float(images.pixels[index].to(device))
        labels = images.labels[index].to(device) if variant.conditional and images.labels is not None else None
        if not depends_on_others(game.gan.discriminator, real, labels):
            return
    raise blame(
        registry,
        "variants",
        variant,
        f"{wanting} penalises gradients of single images, and a logit of its discriminator depends on the whole batch",
        "leave out the layer that looks at the batch where config.per_sample_critic is true, or say "
        "per_sample_critic=False in the spec; or train without that penalty",
    )


def range_problem(made: Sequence[Tensor]) -> str:
    """What is wrong with the range of generated images, "" where nothing is. `made`: of several generators, perhaps,
    with other weights each; floating point, finite.
    """
    low, high = min(float(images.min()) for images in made), max(float(images.max()) for images in made)
    if max(-low, high) > 1 + ROUNDING:
        return f"the untrained generator's images are between {low:.3g} and {high:.3g}, outside of [-1, 1]"
    if low >= 0 and high > 0:
        return f"the untrained generator's images are between {low:.3g} and {high:.3g}, as if their range were [0, 1]"
    return ""


@torch.no_grad()
def untrained_images(gan: GAN, classes: int) -> Tensor:
    """float32 `[4,C,H,W]`, in eval mode. `classes` 0: the generator gets no labels."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(SAMPLES) % classes if classes else None
    modes = [(module, module.training) for module in gan.generator.modules()]
    try:
        gan.generator.eval()
        with preserved_random_state(torch.device("cpu")):
            made = gan.generator(gan.prior(torch.randn(SAMPLES, gan.z_dim, generator=random)), labels)
    finally:
        for module, training in modes:
            module.training = training
    return named(made, "images")["images"].float()


def range_warning(registry: Registry, variant: Variant, gan: GAN, classes: int) -> str:
    """One line of what is wrong with the range of images, and its cure; "" where nothing is.

    Raises:
        BrokenPlugin: it is another range altogether, or no range.
    """
    made = untrained_images(gan, classes)
    if not bool(made.isfinite().all()):
        raise blame(
            registry,
            "variants",
            variant,
            "the untrained generator makes NaN or infinity",
            "mend its forward or its first weights",
        )
    problem = range_problem([made])
    if float(made.abs().max()) > GROSS:
        raise blame(registry, "variants", variant, problem, RANGE_CURE)
    return (
        f"variant '{variant.name}': {problem}, which D sees, and pictures and scores clamp: {RANGE_CURE}"
        if problem
        else ""
    )
