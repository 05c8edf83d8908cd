"""One job: config in, run directory and result out. `train`, `bench` and any cluster run this same function."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ganzoo.config.fit import check_config
from ganzoo.config.kept import kept_of
from ganzoo.config.layers import scores_of, specs_of
from ganzoo.config.run_config import PRECISIONS, RunConfig, score_interval
from ganzoo.config.target import parse_target
from ganzoo.data import Images
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.cuda.concurrent import ALONE, OwnProcess, Turn
from ganzoo.engine.device import denormals_flushed, resolve_precision
from ganzoo.engine.game import Game
from ganzoo.engine.host import Host
from ganzoo.engine.ledger import Ledger, wall_seconds
from ganzoo.engine.loop import Observer, Outcome, answers_of, train
from ganzoo.engine.memory import MemoryMeter
from ganzoo.engine.ranks.group import ranks_here
from ganzoo.engine.ranks.place import check_divides
from ganzoo.engine.step import Step
from ganzoo.engine.stopping import NEVER, Stop
from ganzoo.errors import UserError
from ganzoo.files.locks import exclusive
from ganzoo.files.writing import write_json
from ganzoo.gan import GAN
from ganzoo.runs import telling
from ganzoo.runs.begin import (
    begin,
    check_same_code,
    check_same_images,
    check_same_init,
    check_state_kept,
    data_of,
    outdated,
)
from ganzoo.runs.checks import check_networks, make_callbacks
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.environment import describe_environment, device_name
from ganzoo.runs.events import note, tell, working
from ganzoo.runs.following import set_off
from ganzoo.runs.grid import make_grid, save_png
from ganzoo.runs.keeping import kept_no_longer, remove_all, surplus_snapshots, surplus_states
from ganzoo.runs.log import RunLog
from ganzoo.runs.losses import explained, make_losses
from ganzoo.runs.places import remember_places
from ganzoo.runs.probing import check_samples_apart, range_warning
from ganzoo.runs.provenance import provenance, utc_now
from ganzoo.runs.records import RESULT_SCHEMA
from ganzoo.runs.snapshot_taker import Scoring, SnapshotTaker
from ganzoo.runs.snapshots import build_extras, build_gan, snapshot_hashes
from ganzoo.scoring.images import training_images
from ganzoo.scoring.protocol import unscored
from ganzoo.scoring.scorer import Scorer
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.source import source_sha256


@denormals_flushed()
def run_job(
    registry: Registry,
    config: RunConfig,
    out: Path,
    *,
    root: Path,
    images: Images | None = None,
    observers: Sequence[Observer] = (),
    report: Callable[[str], None] = note,
    turn: Turn = ALONE,
    stop: Stop = NEVER,
    began: float | None = None,
) -> dict[str, Any]:
    """Train as `config` says into `out`, score, and return the content of result.json.

    A finished run is returned as it is; an interrupted one is continued, and so is one that was finished with a smaller
    budget. `root` is the folder of datasets and caches; `images`: the training images, None: loaded here. Who listens
    is told how it goes (`ganzoo.runs.events`); `report`: is told, in a line, what has to be known of this run. `turn`:
    the run's own, where it shares its process and device with others; memory and energy are then no single run's, and
    are not told. `stop`: of whoever handles signals. `began`: `time.perf_counter()` from which on time is the job's,
    its process's start perhaps; None: now.

    Raises:
        UserError: anything the user can mend; what has been computed so far is kept. RunError where the run was trained
            on other images than those of now.
        Stopped: a signal has come; the same call continues.
    """
    ranks = ranks_here()
    host = Host(ledger=Ledger(began), turn=turn, stop=stop, report=report, ranks=ranks)
    stop.check()
    check_divides(config.train.batch_size, ranks.size)
    run = RunDirectory.open(out, config)
    if images is None:
        with working(f"loading {config.dataset.name}"):
            images = training_images(registry, config, root)
    check_same_images(run, images)
    check_same_init(run, registry, config)
    check_same_code(run, registry, config)
    finished = run.read_result()
    if finished is not None:
        reason = outdated(finished, registry, config, root)
        if reason is None:
            tell(telling.finished(run.path, finished, before=True))
            return finished
        check_state_kept(run)
        host.report(f"{run.path}: {reason}")
    with exclusive(run.path / ".lock"):
        log = RunLog(run)
        try:
            with log.hearing():
                return _run(registry, config, run, root, images, observers, host, log)
        except BaseException as error:
            log.ended_by(error)
            raise


def _run(
    registry: Registry,
    config: RunConfig,
    run: RunDirectory,
    root: Path,
    images: Images,
    observers: Sequence[Observer],
    host: Host,
    log: RunLog,
) -> dict[str, Any]:
    """What `run_job` does once the directory is its own."""
    keep = kept_of(config.train.keep)
    if line := kept_no_longer(run, keep):
        host.report(line)
    run.settle(config)
    remember_places(root, config)
    run.failure_file.unlink(missing_ok=True)
    ranks = host.ranks
    device = ranks.device(config.device)
    began = run.read_environment() if run.trained else {}
    precision = resolve_precision(_precision_of(config, device, began), device)
    shared = _shared(run, host.turn)
    environment = describe_environment(device, precision.name, registry.plugins, root) | shared
    before = began.get("provenance")
    started = provenance(before if isinstance(before, dict) else None)
    in_parts = {"ranks": ranks.size, "sync_batch_norm": config.train.sync_batch_norm} if ranks.several else {}
    environment |= in_parts
    write_json(run.env_file, environment | {"provenance": started})
    log.begin(started, str(environment["device_name"]))

    variant, objective = registry.variant(config.variant.name), registry.objective(config.objective.name)
    source = source_sha256(*specs_of(registry, config))  # before training: files may be edited while it runs
    check_config(registry, config, images.shape[1], images.shape[0], images.num_classes)
    if images.shape[1] != images.shape[2]:
        raise UserError(
            f"the images are {images.shape[2]}x{images.shape[1]}, not square", "use --size to crop and resize"
        )
    teller = telling.Telling(run, config, images)
    teller.started()
    host = replace(host, resumed=teller.resumed)
    scoring, memory = None, MemoryMeter(device, alone=isinstance(host.turn, OwnProcess))
    if score_interval(config.train.scores, config.eval.every) is not None:
        with working(f"loading the feature network {config.features.name}"), memory.scoring():
            scorer = Scorer(registry, config, images, root=root, device=device)
            scorer.rehearse()
        scoring = Scoring(scorer, run, root)
        teller.scores_ahead = scoring.ahead()

    torch.manual_seed(config.seed)
    gan = build_gan(registry, config, images.shape, images.num_classes)
    check_networks(registry, variant, gan, images.shape, images.num_classes)
    if warning := range_warning(registry, variant, gan, images.num_classes if variant.conditional else 0):
        host.report(warning)
    begun = begin(run, registry, config, images, gan)
    losses = make_losses(registry, objective, config.objective.settings)
    extras = build_extras(registry, config, images.shape)
    game = Game(gan=gan, losses=losses, extras=extras)
    with working("trying the networks"):
        check_samples_apart(registry, config, game, images, device)
    sampler = make_sampler(
        images, batch_size=config.train.batch_size, device=device, seed=config.seed, part=(ranks.rank, ranks.size)
    )
    watchers = [*make_callbacks(registry, run, config), teller, *observers, log]
    take_snapshot = SnapshotTaker(
        run,
        config,
        gan,
        images,
        scoring=scoring,
        conditional=variant.conditional,
        observers=watchers,
        device=device,
        memory=memory,
        host=host,
    )
    _save_real_grid(run, images, variant.conditional)
    target = None if config.train.until is None else parse_target(config.train.until, scores_of(registry, config))
    with contextlib.ExitStack() as training:
        training.enter_context(host.stop.held_back())
        training.enter_context(explained(registry, config, game))
        with working("trying the networks"):
            step = Step(
                gan=gan,
                losses=losses,
                extras=extras,
                sampler=sampler,
                config=config.train,
                num_classes=images.num_classes if variant.conditional else 0,
                device=device,
                precision=precision,
                plain=config.engine == "plain",
                answers=answers_of(run),
                report=host.report,
                ranks=ranks,
            )
            training.callback(step.close)
            set_off(ranks, replace(config, precision=precision.name), device, step.answers)
        outcome = train(
            step,
            run=run,
            take_snapshot=take_snapshot,
            take_picture=take_snapshot.picture,
            identity=begun.identity,
            first_budget=begun.first_budget,
            target=target,
            observers=watchers,
            memory=memory,
            host=host,
        )
        take_snapshot.finish()
        # Before the result, which names the snapshots there are; the states after it, as a run without one needs them.
        remove_all(surplus_snapshots(run, keep))
    sampler.close()
    result = _result(config, run, gan, images, scoring, outcome, environment, device)
    result |= {"data": data_of(images, None if scoring is None else scoring.scorer.test_images), **begun.facts}
    result["snapshots"] = snapshot_hashes(run)
    result["environment"] |= {"execution": outcome.execution, "train_threads": step.threads, **shared, **in_parts}
    result["source"] = source
    result["higher_is_better"] = scores_of(registry, config)
    result["until"] = target and {
        "metric": target.metric,
        "value": target.value,
        "reached": outcome.reached,
        "seconds": outcome.seconds,
        "kimg": outcome.images / 1000,
        "joules": outcome.joules,
    }
    result["diagnostics"] = run.diagnostics()
    spent = host.ledger.spent()
    result["seconds"] = {**spent, "wall": wall_seconds(spent)}
    result["provenance"] = started | {"ended": utc_now()}
    write_json(run.result_file, result)
    remove_all(surplus_states(run, keep))
    for watcher in watchers:
        watcher.on_end(result)
    return result


def _precision_of(config: RunConfig, device: torch.device, began: Mapping[str, Any]) -> str:
    """That of the config; where it is "auto", a run on a processor goes on in what it `began` in on another."""
    kept = began.get("precision") if began.get("device") == device.type == "cpu" else None
    return kept if config.precision == "auto" and kept in PRECISIONS else config.precision


def _shared(run: RunDirectory, turn: Turn) -> dict[str, int]:
    """How many runs shared the device, and how many ran beside it; the most, if this run continues an earlier part,
    whose time is among its own.
    """
    before = run.read_environment() if run.state_file.exists() else {}
    now = {"concurrent": turn.runs, "beside": turn.beside}
    return {name: max(count, kept if isinstance(kept := before.get(name), int) else 0) for name, count in now.items()}


def _save_real_grid(run: RunDirectory, images: Images, conditional: bool) -> None:
    """real.png, laid out as the generated grids are."""
    if conditional and images.labels is not None:
        columns = min(images.num_classes, 20)
        by_class = [(images.labels == label).nonzero()[:8, 0] for label in range(columns)]
        index = torch.stack([rows[row % len(rows)] for row in range(8) for rows in by_class if len(rows)])
        columns = sum(1 for rows in by_class if len(rows))
    else:
        columns = 10
        index = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:80]
    save_png(run.path / "real.png", make_grid(images.pixels[index], columns))


def _result(
    config: RunConfig,
    run: RunDirectory,
    gan: GAN,
    images: Images,
    scoring: Scoring | None,
    outcome: Outcome,
    environment: dict[str, Any],
    device: torch.device,
) -> dict[str, Any]:
    """The row for the leaderboard. `best` is the trained snapshot of lowest FID among those scored. `last` is None if
    the run diverged before its end: an earlier snapshot is not what the protocol names. A run that is not scored has a
    `last` without values.
    """
    protocol: dict[str, Any] = {"id": unscored(config.dataset.name, images.shape, images.sha256)}
    if scoring is not None:
        protocol = {"id": scoring.scorer.protocol.id, **scoring.scorer.protocol.ingredients()}
    scores = [score for score in run.metrics() if score["protocol"] == protocol["id"]]
    trained = [score for score in scores if score["images"] > 0]
    if scoring is None and not outcome.diverged:
        trained = [{"images": outcome.images, "kimg": outcome.images / 1000, "values": {}, "left_out": {}}]
    ranked = [score for score in trained if score["values"].get("fid") is not None]
    return {
        "schema": RESULT_SCHEMA,
        "status": "diverged" if outcome.diverged else "done",
        "diverged": outcome.diverged,
        "variant": config.variant.name,
        "objective": config.objective.name,
        "dataset": config.dataset.name,
        "seed": config.seed,
        "config": config.to_dict(),
        "protocol": protocol,
        "label_law": "none" if scoring is None else scoring.scorer.label_law,
        "kimg": outcome.images / 1000,
        "last": trained[-1] if trained and trained[-1]["images"] == outcome.images else None,
        "best": min(ranked, key=lambda score: float(score["values"]["fid"])) if ranked else None,
        "untrained": next((score for score in scores if score["images"] == 0), None),
        "floors": [] if scoring is None else scoring.floors,
        "left_out": trained[-1]["left_out"] if trained else {},
        "train_img_per_s": outcome.images / outcome.seconds if outcome.seconds else None,
        "sample_img_per_s": scores[-1]["sample_img_per_s"] if scores else None,
        "parameters": {
            "generator": sum(parameter.numel() for parameter in gan.generator.parameters()),
            "discriminator": sum(parameter.numel() for parameter in gan.discriminator.parameters()),
        },
        "peak_memory": outcome.peak_memory,
        "score_peak_memory": max((score.get("peak_memory") or 0 for score in scores), default=0) or None,
        "joules": outcome.joules,
        "environment": {
            "device": device_name(device),
            "precision": environment["precision"],
            "python": environment["python"],
            "packages": environment["packages"],
            "git": environment["git"],
        },
    }
