"""What a run begins with, and goes on with: these images, these weights, this budget. Kept in run.json."""

from __future__ import annotations

import glob
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganzoo.config.layers import specs_of
from ganzoo.config.run_config import RunConfig, difference, flatten, score_interval
from ganzoo.data import Images, NoTestSplit
from ganzoo.engine.schedule import Budget
from ganzoo.engine.state import read_state
from ganzoo.errors import RunError, UserError
from ganzoo.gan import GAN
from ganzoo.runs.directory import RunDirectory, budget_of
from ganzoo.runs.find import find_run
from ganzoo.runs.finished import asks_for_more
from ganzoo.runs.snapshots import read_snapshot, weights_digest
from ganzoo.scoring.images import load_images
from ganzoo.zoo.models import checked_file, find_model, is_model_name
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.source import source_sha256
from ganzoo.zoo.specs import KINDS


@dataclass(frozen=True, kw_only=True)
class Begun:
    identity: dict[str, Any]  # flat: what the run's states must agree with
    first_budget: Budget | None  # that the run began with; None: it is the config's
    facts: dict[str, Any] = field(default_factory=dict)  # for result.json: "budgets", "init", "not_known"


def data_of(train: Images, test: Images | None) -> dict[str, Any]:
    """JSON-ready: digest, number, shape and facts of both splits; `test` None: there is none, or it was not read."""
    return {"train": _split(train), "test": None if test is None else _split(test)}


def _split(images: Images) -> dict[str, Any]:
    return {
        "sha256": images.sha256,
        "images": len(images),
        "shape": list(images.shape),
        "num_classes": images.num_classes,
        "facts": None if images.facts is None else images.facts.to_dict(),
    }


def check_same_images(run: RunDirectory, images: Images) -> None:
    """
    Raises:
        RunError: the run was trained on other images.
    """
    if not run.trained:
        return
    known = _known_images(run)
    if known is not None and known["sha256"] != images.sha256:
        raise RunError(
            f"{run.path} was trained on other images: {_short(known)} -> {_short(_split(images))}",
            "bring those images back (they may lie anywhere: --dataset), or choose another --out",
        )


def check_same_init(run: RunDirectory, registry: Registry, config: RunConfig) -> None:
    """
    Raises:
        RunError: the run began with other weights than those that the config names. A source that is no longer there is
            not looked for: the run has what it needs of it.
    """
    if not run.trained:
        return
    begun = run.read_record().get("init")
    if begun is None and config.init is not None:
        raise RunError(f"{run.path} did not start from {config.init}", "leave --init out, or choose another --out")
    if begun is not None and config.init is None:
        raise RunError(f"{run.path} started from {begun['run']}", "repeat --init, or choose another --out")
    if begun is None or config.init is None:
        return
    try:
        files = _snapshots_of(registry, config.init)
        found = any(weights_digest(read_snapshot(file)[1]) == begun["weights_sha256"] for file in files)
    except UserError:
        return
    if not found:
        raise RunError(
            f"{run.path} started from other weights than those of {config.init} (from {begun['run']} at "
            f"{begun['kimg']:g} kimg)",
            "bring those weights back, or choose another --out",
        )


def check_state_kept(run: RunDirectory) -> None:
    """
    Raises:
        RunError: the run is finished and cannot be taken up again.
    """
    if not run.has_state:
        raise RunError(
            f"{run.path} has a result but no saved state to continue from: it was not kept, or cleaned away",
            f"choose another --out (--init {run.path} starts from its weights), or score what it has: ganzoo eval "
            f"{run.path}; --set train.keep=last,best,state keeps the next one's",
        )


def sources_of(registry: Registry, config: RunConfig) -> dict[str, str]:
    """Whose code decides what a run computes -> the digest of that code, such as {"variant 'mine'": "3f2a..."}. Not of
    ganzoo's own modules: which version it was is in env.json.
    """
    specs = specs_of(registry, config)
    named = [(kind, spec) for spec in specs for kind, spec_type in KINDS.items() if isinstance(spec, spec_type)]
    theirs = [(kind, spec) for kind, spec in named if registry.owner(kind, spec.name).name != "core"]
    return {f"{kind[:-1]} '{spec.name}'": source_sha256(spec) for kind, spec in theirs}


def check_same_code(run: RunDirectory, registry: Registry, config: RunConfig) -> None:
    """Runs of earlier versions do not say of which code they are, and go on.

    Raises:
        RunError: the run began with other code than that of now.
    """
    if not run.trained:
        return
    begun = run.read_record().get("sources") or {}
    changed = [name for name, digest in sources_of(registry, config).items() if begun.get(name, digest) != digest]
    if changed:
        raise RunError(
            f"{run.path} began with other code than {' and '.join(changed)} has now",
            f"bring the old code back, choose another --out, or start anew from its weights: --init {run.path} --out "
            "DIR",
        )


def _known_images(run: RunDirectory) -> dict[str, Any] | None:
    """The record of the images that the run was trained on; of a finished run of an earlier version what its protocol
    says; None where nothing does.
    """
    known = (run.read_record().get("data") or {}).get("train")
    if known is not None:
        return dict(known)
    result = run.read_result() or {}
    protocol = result.get("protocol") or {}
    whole = ((result.get("config") or {}).get("eval") or {}).get("num_reference") is None
    return {"sha256": protocol["dataset_sha256"]} if whole and "dataset_sha256" in protocol else None


def _short(split: dict[str, Any]) -> str:
    parts = [f"{split['images']:,} images"] if "images" in split else []
    parts += [f"{split['shape'][2]}x{split['shape'][1]}x{split['shape'][0]}"] if "shape" in split else []
    parts += [f"{split['num_classes']} classes"] if split.get("num_classes") else []
    return ", ".join([*parts, f"sha256 {split['sha256'][:12]}"])


def outdated(result: dict[str, Any], registry: Registry, config: RunConfig, root: Path) -> str | None:
    """Why a finished run is taken up again, in words; None where its result is what the config asks for."""
    more, protocol = asks_for_more(config, result), result["protocol"]
    if more is not None or score_interval(config.train.scores, config.eval.every) is None:
        return more
    if "test_sha256" in protocol and protocol["test_sha256"] != test_sha256(registry, config, root):
        return "the test images have changed since it was scored: scored again"
    weights = config.features.settings.get("weights")
    if weights and protocol.get("features_sha256") != _file_sha256(Path(str(weights))):
        return "the weights of the feature network have changed since it was scored: scored again"
    return None


def test_sha256(registry: Registry, config: RunConfig, root: Path) -> str:
    """Digest of the test images that scores are computed with, "none" where there are none."""
    if config.eval.held_out:
        return "none"
    try:
        return load_images(registry, config, root, "test").sha256
    except NoTestSplit:
        return "none"


def _file_sha256(path: Path) -> str | None:
    try:
        with path.expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None  # refused where the network is loaded, with a cure


def begin(run: RunDirectory, registry: Registry, config: RunConfig, images: Images, gan: GAN) -> Begun:
    """Record what the run begins with where it has not begun, and give the networks the weights of `config.init`.

    Raises:
        UserError: there are no such weights, or they do not fit the networks.
    """
    record = run.read_record()
    if not run.trained:
        init = None if config.init is None else _initialise(config.init, registry, gan)
        source = source_sha256(*specs_of(registry, config))
        run.record(
            data=data_of(images, None),
            budgets=[budget_of(vars(config.train))],
            init=init,
            source=source,
            sources=sources_of(registry, config),
        )
        record = run.read_record()
    elif "data" not in record and _known_images(run) is None:
        run.record(data=data_of(images, None), not_known="images")
        record = run.read_record()
    budgets, init = record.get("budgets") or [], record.get("init")
    facts = {"budgets": budgets, "init": init}
    if record.get("not_known"):
        facts["not_known"] = record["not_known"]
    first = budgets[0] if len(budgets) > 1 else None
    return Begun(
        identity=config.training_identity() | {"images": images.sha256, "init": init and init["sha256"]},
        first_budget=None
        if first is None
        else Budget.of(
            kimg=first["kimg"],
            minutes=first["minutes"],
            snapshots=first["snapshots"],
            batch_size=config.train.batch_size,
        ),
        facts=facts,
    )


def shorter_run(path: Path, registry: Registry, config: RunConfig, images: Images) -> Path | None:
    """Beside `path`, which is not there yet, the folder of the same run with a smaller budget, which a longer one
    continues. None where there is none.
    """
    if path.exists() or not path.parent.is_dir():
        return None
    prefix, init = path.name.rpartition("-")[0], init_sha256(registry, config.init)
    source = source_sha256(*specs_of(registry, config))
    found: list[tuple[float, Path]] = []
    for folder in path.parent.glob(f"{glob.escape(prefix)}-*"):
        run = RunDirectory(folder)
        try:
            record = run.read_record()
            data = (record.get("data") or {}).get("train") or {}
            if not run.has_state or data.get("sha256") != images.sha256:
                continue
            if (record.get("init") or {}).get("sha256", "") != init or record.get("source") != source:
                continue
            stored = flatten(run.read_config())
        except RunError:  # another run's damage is not this one's
            continue
        theirs = {key: stored.get(key) for key in config.identity() if key not in config.budget()}
        if difference({k: v for k, v in config.identity().items() if k in theirs}, theirs):
            continue
        if config.train.kimg is not None and isinstance(kimg := stored.get("train.kimg"), (int, float)):
            found += [(float(kimg), folder)] if kimg < config.train.kimg else []
    return max(found)[1] if found else None


def init_sha256(registry: Registry, source: str | None) -> str:
    """Digest of the weights that `--init source` names; "" for None. Errors as in `begin`."""
    return "" if source is None else _digest(*_init_files(registry, source))


def _snapshots_of(registry: Registry, source: str) -> list[Path]:
    """All snapshots that `--init source` may have meant: a run that was trained on since has newer ones."""
    path = Path(source).expanduser()
    if is_model_name(source):
        return [checked_file(registry, find_model(registry, source))]
    return [path] if path.is_file() else find_run(source).snapshots()


def _init_files(registry: Registry, source: str) -> tuple[Path, Path | None]:
    """The snapshot, and the state that holds its discriminator, of a run, a variant, a snapshot file or a model."""
    path = Path(source).expanduser()
    if is_model_name(source):
        return checked_file(registry, find_model(registry, source)), None
    if path.is_file():
        return path, None
    run = find_run(source)
    snapshots = run.snapshots()
    if not snapshots:
        raise RunError(f"{run.path} has no snapshot to start from", "train it first, or name another run")
    return snapshots[-1], run.state_file if run.state_file.is_file() else None


def _digest(snapshot: Path, state: Path | None) -> str:
    sha = hashlib.sha256()
    for file in (snapshot, state):
        if file is not None:
            sha.update(bytes.fromhex(_digest_of(file)))
    return sha.hexdigest()


def _digest_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _initialise(source: str, registry: Registry, gan: GAN) -> dict[str, Any]:
    """Load G from the snapshot's averaged generator, D from the run's saved state where there is one; what is known."""
    snapshot, state = _init_files(registry, source)
    header, tensors = read_snapshot(snapshot)
    _fit("generator", gan.generator, tensors, snapshot)
    if state is not None:
        document, problem = read_state(state)  # its run may have kept what this one does not
        if document is None:
            raise RunError(f"{state} {problem}", f"start from the snapshot alone: --init {snapshot}")
        _fit("discriminator", gan.discriminator, document["discriminator"], state)
    return {
        "run": source if is_model_name(source) else snapshot.parent.parent.name,
        "kimg": header["images"] / 1000,
        "sha256": _digest(snapshot, state),
        "weights_sha256": weights_digest(tensors),
        "discriminator": state is not None,
    }


def _fit(name: str, network: torch.nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    theirs = {key: list(tensor.shape) for key, tensor in tensors.items()}
    ours = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    if theirs != ours:
        key = next(key for key in (*ours, *theirs) if ours.get(key) != theirs.get(key))
        raise UserError(
            f"the {name} in {source} has other weights: {key} is {theirs.get(key, 'missing')} there and "
            f"{ours.get(key, 'missing')} here",
            "start from a run of the same variant, image size, classes and settings of the networks",
        )
    network.load_state_dict(tensors)
