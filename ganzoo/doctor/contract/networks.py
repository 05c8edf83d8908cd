"""Checks of a variant's networks, called outside of training."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganzoo.doctor.contract.case import Case, make_case
from ganzoo.doctor.contract.findings import FAILED, Finding, Findings, failed, guarded, ok, told, warning
from ganzoo.engine.probes.independence import depends_on_others
from ganzoo.engine.probes.reached import global_generators
from ganzoo.errors import UserError
from ganzoo.gan import VariantConfig, named
from ganzoo.runs.checks import check_networks as check_called
from ganzoo.runs.probing import GROSS, RANGE_CURE, range_problem, untrained_images
from ganzoo.zoo.calls import BrokenPlugin
from ganzoo.zoo.specs import Variant

ANY_SIZES = (28, 32, 64)
"""Tried of a variant that takes any size."""

LARGEST, TRAINED = 128, 32
"""Pixels up to which every declared size is built and called, and up to which it is so in train mode as well."""

IMAGES = 16
"""That are looked at."""

REDRAWN = 4
"""Networks with weights drawn anew, which are asked whether their range is one whatever the weights."""

EVAL_TOLERANCE = 1e-3
"""Change of an image, of [-1, 1], with the rest of its batch: rounding makes one of 1e-6."""


def check_networks(case: Case) -> Iterator[Finding]:
    """All of them; the rest are not tried where the networks cannot be called."""
    shapes = list(guarded("shapes", lambda: _shapes(case)))
    yield from shapes
    if any(finding.status == FAILED for finding in shapes):
        return
    yield from guarded("random numbers", lambda: _random(case))
    yield from guarded("prior", lambda: _prior(case))
    yield from guarded("inputs", lambda: _inputs(case))
    yield from guarded("range of images", lambda: _range_of_images(case))
    yield from guarded("range of logits", lambda: _range_of_logits(case))
    yield from guarded("samples apart", lambda: _apart(case))
    yield from guarded("eval mode", lambda: _eval_mode(case))


def _shapes(case: Case) -> Findings:
    """As built for each shape, called as before a run, then as in one."""
    spec, tried = case.spec, list[str]()
    sizes = sorted(spec.sizes or ANY_SIZES)
    for size in [size for size in sizes if size <= LARGEST] or sizes[:1]:
        for channels in spec.channels:
            one = make_case(
                case.registry, spec.name, objective=case.config.objective.name, channels=channels, size=size
            )
            shape = f"{channels}x{size}x{size}"
            try:
                gan = one.gan()
                check_called(case.registry, spec, gan, one.shape, one.classes)
                if size <= TRAINED or size == sizes[0]:
                    real, labels = one.real()
                    given = torch.randn(len(real), gan.z_dim), real, labels
                    check_called(case.registry, spec, gan, one.shape, one.classes, given)
            except Exception as error:
                made = f"{shape} images of {one.classes} classes" if one.classes else f"{shape} images"
                error.add_note(f"for {made}")
                cure = _cure(spec, one.classes, error)
                if tried and isinstance(error, UserError):
                    field = "channels" if f"1x{size}x{size}" in tried else "sizes"
                    yield failed(
                        "shapes",
                        f"for {made}: {getattr(error, 'found', '') or error.cause}",
                        f"say {field}= in the spec with those that it makes, or make it of `shape`",
                    )
                    return
                if cure:
                    yield failed("shapes", getattr(error, "found", "") or told(error), cure)
                    return
                raise
            tried.append(shape)
    counts = [f"{name} {sum(p.numel() for p in one.parameters()):,}" for name, one in case.game().networks().items()]
    yield ok("shapes", f"{tried[0]}{f' to {tried[-1]}' if len(tried) > 1 else ''}; parameters: {', '.join(counts)}")


def _cure(spec: Variant, classes: int, error: Exception) -> str:
    """Of what cannot be built or called, by what it looks like; "" where it looks like nothing known."""
    whole = [one for one in spec.settings if isinstance(one.default, float) and one.default.is_integer()]
    if isinstance(error, TypeError) and "float" in str(error) and whole:
        return f"write default={whole[0].default:.0f} for the setting '{whole[0].name}', without a point, for a count"
    if isinstance(error, IndexError) and classes:
        return f"make room for num_classes, here {classes}, not for a number that is written out"
    if isinstance(error, BrokenPlugin) and spec.sizes is None and "generator returns [" in error.found:
        return "make images of `shape`, or say in the spec which sizes= it makes"
    return ""


def _random(case: Case) -> Findings:
    """Whether the run's seed is what initial weights and noise come from, and all that they come from."""
    weights = [torch.cat([p.detach().flatten() for p in _all_parameters(case, seed)]) for seed in (0, 0, 1)]
    if not torch.equal(weights[0], weights[1]):
        yield failed(
            "random numbers",
            "the same seed gives other initial weights",
            "draw them from torch's global generator, not from Python's, NumPy's or the clock",
        )
        return
    if torch.equal(weights[0], weights[2]):
        yield failed(
            "random numbers",
            "another seed gives the same initial weights",
            "leave torch.manual_seed out of the plugin: the run sets it, by --seed",
        )
        return
    gan = case.gan()
    real, labels = case.real()
    z = gan.prior(torch.randn(len(real), gan.z_dim))
    for name, network, given in (("generator", gan.generator, z), ("discriminator", gan.discriminator, real)):
        others, states = global_generators("cpu"), list[Tensor]()
        for seed in (1, 2):
            torch.manual_seed(seed)
            with torch.no_grad():
                network(given, labels)
            states.append(torch.get_rng_state())
        now = global_generators("cpu")
        drawn = next((which for which, (state, _) in others.items() if now[which][0] != state), None)
        if drawn is not None:
            yield failed(
                "random numbers",
                f"the {name} draws from {drawn}, whose state is not saved with the run",
                "draw from torch, on the device of the input",
            )
            return
        if torch.equal(*states):
            yield failed(
                "random numbers",
                f"the {name} seeds torch's generator, from which the whole run draws",
                "leave torch.manual_seed out, or give what needs it a torch.Generator of its own",
            )
            return
    yield ok("random numbers", "of torch's generator alone")


def _all_parameters(case: Case, seed: int) -> Iterator[nn.Parameter]:
    gan = case.gan(seed)
    yield from (one for module in (gan.generator, gan.discriminator) for one in module.parameters())


def _prior(case: Case) -> Findings:
    prior, normal = case.gan().prior, torch.randn(IMAGES, case.gan().z_dim)
    z = prior(normal.clone())
    again, rows = prior(normal.clone()), torch.cat([prior(row[None]) for row in normal])
    if not torch.equal(z, again):
        yield failed(
            "prior",
            "GAN.prior gives another z for the same noise",
            "let it be a function of the noise alone, which it is given for that",
        )
    elif not torch.allclose(z, rows, atol=1e-5):
        yield failed("prior", "a row of GAN.prior depends on the other rows", "transform each row by itself")
    else:
        yield ok("prior", type(prior).__name__)


@torch.no_grad()
def _inputs(case: Case) -> Findings:
    """Whether networks, with weights away from their start, make use of what they are given."""
    gan = case.gan()
    real, labels = case.real()
    z = gan.prior(torch.randn(len(real), gan.z_dim))
    generator, discriminator = _redrawn(gan.generator, 0), _redrawn(gan.discriminator, 0)

    def same(network: nn.Module, *inputs: tuple[Tensor, Tensor | None]) -> bool:
        said = []
        for one in inputs:
            torch.manual_seed(0)
            said.append(_flat(network(*one)))
        return torch.equal(*said)  # NaN is never the same

    if same(generator, (z, labels), (z.flip(0), labels)):
        yield failed("inputs", "the generator makes the same images whatever z is", "use z in its forward")
        return
    if same(discriminator, (real, labels), (real.flip(0), labels)):
        yield failed("inputs", "the discriminator says the same whatever the images are", "use x in its forward")
        return
    if labels is not None and same(generator, (z, labels), (z, labels.flip(0))):
        yield failed(
            "inputs",
            "the generator makes the same images whatever the labels are, though the spec says conditional=True",
            "use labels in its forward, or leave conditional=True out",
        )
        return
    yield ok("inputs", "z, images" if labels is None else "z, images, labels")


def _flat(outputs: object) -> Tensor:
    values = outputs.values() if isinstance(outputs, dict) else [outputs]
    return torch.cat([value.flatten() for value in values if isinstance(value, Tensor)])


@torch.no_grad()
def _redrawn(network: nn.Module, seed: int) -> nn.Module:
    """A copy with other weights, some of them large."""
    random = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(network)
    for parameter in other.parameters():
        parameter.copy_(0.3 * torch.randn(parameter.shape, generator=random))
    return other


def _range_of_images(case: Case) -> Findings:
    gan = case.gan()
    made = [untrained_images(gan, case.classes)]
    problem = range_problem(made)
    if made[0].min() >= 0:  # is it so whatever the weights? Else it is a start that has no meaning
        for seed in range(REDRAWN):
            other = dataclasses.replace(gan, generator=_redrawn(gan.generator, seed))
            made.append(untrained_images(other, case.classes))
        problem = range_problem(made) if all(float(one.min()) >= 0 for one in made) else ""
    if problem and float(made[0].abs().max()) > GROSS:
        yield failed("range of images", problem, RANGE_CURE)
    elif problem:
        yield warning("range of images", f"{problem}; pictures and scores are of clamped ones", RANGE_CURE)
    else:
        yield ok("range of images", f"between {float(made[0].min()):.3g} and {float(made[0].max()):.3g}")


@torch.no_grad()
def _range_of_logits(case: Case) -> Findings:
    gan = case.gan()
    real, labels = case.real(IMAGES)
    said = [
        named(network(real, labels), "logits")["logits"]
        for network in (gan.discriminator, *(_redrawn(gan.discriminator, seed) for seed in range(REDRAWN)))
    ]
    if all(float(one.min()) >= 0 and float(one.max()) <= 1 for one in said):
        yield warning(
            "range of logits",
            "logits are between 0 and 1, whatever the weights, as if they were probabilities",
            "return the last layer's output itself: the objective applies the sigmoid",
        )
        return
    yield ok("range of logits", f"between {float(said[0].min()):.3g} and {float(said[0].max()):.3g} untrained")


def _apart(case: Case) -> Findings:
    """Of the critic as built for gradient penalties, where the spec promises one, and as built otherwise."""
    spec = case.spec
    real, labels = case.real()
    if spec.per_sample_critic and not spec.batch_dependent:
        torch.manual_seed(0)
        config = VariantConfig(settings=case.config.variant.settings, per_sample_critic=True)
        built = spec.load()(config, case.shape, case.classes)
        critic = built.discriminator
        apart = not built.summed_penalties or _normed(critic)  # of batch norm no paper's sum is meant
        if apart and depends_on_others(critic, real, labels):
            yield failed(
                "samples apart",
                f"a logit depends on other images of the batch{', by batch norm' if _normed(critic) else ''}, though "
                "config.per_sample_critic is true: gradient penalties would be wrong",
                "leave the layer out where config.per_sample_critic is true, or register with per_sample_critic=False",
            )
            return
    game = case.game()
    gan = game.gan
    if game.penalised and not gan.summed_penalties and depends_on_others(gan.discriminator, real, labels):
        yield failed(
            "samples apart",
            "a logit depends on other images of the batch, and a penalty or a term differentiates D by its images",
            "leave the layer out, or that loss",
        )
    elif gan.batch_dependent or _normed(gan.discriminator):
        yield ok("samples apart", "batch_dependent" if gan.batch_dependent else "but for batch norm")
    elif depends_on_others(gan.discriminator, real, labels):
        yield failed(
            "samples apart",
            "a logit depends on other images of the batch, by other means than batch norm, and nothing says so",
            "register with batch_dependent=True, so that real and generated images are judged separately",
        )
    else:
        yield ok("samples apart", "each logit is of its own image alone")


def _normed(network: nn.Module) -> bool:
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


@torch.no_grad()
def _eval_mode(case: Case) -> Findings:
    gan = case.gan()
    labels = case.real()[1]
    z = gan.prior(torch.randn(IMAGES // 2, gan.z_dim))
    others = z.clone()
    others[1::2] = gan.prior(3 * torch.randn(len(z) // 2, gan.z_dim))
    for _ in range(3):
        gan.generator.train()(z, labels)
    generator = gan.generator.eval()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    made = list[Tensor]()
    for one in (z, others):
        torch.manual_seed(0)
        made.append(named(generator(one, labels), "images")["images"])
    changed = next((name for name, value in generator.state_dict().items() if not torch.equal(value, before[name])), "")
    if changed:
        yield failed(
            "eval mode",
            f"in eval mode the generator's '{changed}' changes with each call: pictures and scores would not agree",
            "write to buffers in train mode only (self.training is True)",
        )
    elif float((made[0] - made[1])[::2].abs().max()) > EVAL_TOLERANCE:
        yield failed(
            "eval mode",
            "in eval mode an image depends on the others of its batch: pictures and scores would not agree",
            "use running statistics in eval mode (self.training is False), as nn.BatchNorm2d does",
        )
    else:
        yield ok("eval mode", "each image is of its own z alone")
