"""The real side is computed once: features, moments, radii and distances, in memory and in files."""

import errno
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from ganzoo.data import make_images
from ganzoo.files import locks
from ganzoo.metrics import neighbours, reference, statistics
from ganzoo.metrics.cache import TensorCache
from ganzoo.metrics.fid import FrechetDistance
from ganzoo.metrics.memorisation import Memorisation
from ganzoo.metrics.per_class import ClassRecall
from ganzoo.metrics.prdc import PrecisionRecallDensityCoverage
from ganzoo.metrics.reference import Reference, reference_features

CPU = torch.device("cpu")


def images(n, seed):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, 1, 2, 3), generator=generator, dtype=torch.uint8)
    return make_images(pixels, torch.arange(n) % 3, num_classes=3)


def network(pixels):
    network.seen += len(pixels)
    return {"pool": pixels.flatten(1).float() / 255}


def make_reference(folder):
    test = reference_features(images(60, 1), network, cache_dir=folder, key="a", device=CPU)
    return reference_features(images(90, 0), network, cache_dir=folder, key="a", device=CPU, test=test)


def scores(folder):
    """All that asks for statistics of the real images, as two jobs of a bench would."""
    real, values = make_reference(folder), {}
    generated = images(80, 2)
    for metric in (
        FrechetDistance(),
        PrecisionRecallDensityCoverage(nearest_k=3),
        PrecisionRecallDensityCoverage(nearest_k=3, max_images=50),
        ClassRecall(nearest_k=3, max_images=20),
        Memorisation(),
    ):
        metric.update({"pool": generated.pixels.flatten(1).float() / 255}, generated.labels)
        values[f"{type(metric).__name__}{len(values)}"] = metric.compute(real)
    return values


def test_a_second_use_computes_nothing_of_the_real_images(tmp_path, monkeypatch):
    network.seen = 0
    passes = []

    def counted(function, name):
        def wrapper(features, *arguments, **settings):
            passes.append(name)
            return function(features, *arguments, **settings)

        return wrapper

    for name in ("moments", "squared_radii", "nearest"):
        monkeypatch.setattr(reference, name, counted(getattr(reference, name), name))
    first = scores(tmp_path)
    assert network.seen == 150
    assert passes == ["moments", *["squared_radii"] * 5, "nearest"]  # all, a subset, three classes
    passes.clear()
    assert scores(tmp_path) == first
    assert network.seen == 150
    assert passes == []


def at_once(count, work):
    """What `work` gives in as many threads, which wait for each other first; locks of files are between them too."""
    ready = threading.Barrier(count)

    def one(_):
        ready.wait(timeout=10)
        return work()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count), timeout=60))


@pytest.mark.parametrize("damage", [None, b"", b"not a tensor"], ids=["absent", "empty", "damaged"])
def test_jobs_at_the_same_time_compute_features_once(tmp_path, damage):
    """Two jobs of a bench both need those of a new dataset: on 60,000 images that is minutes for each."""
    seen = []

    def slow(pixels):
        seen.append(len(pixels))
        time.sleep(0.05)  # longer than the others take to ask
        return {"pool": pixels.flatten(1).float() / 255}

    def work():
        return reference_features(images(60, 1), slow, cache_dir=tmp_path, key="a", device=CPU, batch_size=20).pool

    if damage is not None:
        work()
        seen.clear()
        (file,) = tmp_path.glob("*.safetensors")
        file.write_bytes(damage)
    pools = at_once(3, work)
    assert sum(seen) == 60
    assert all(torch.equal(pool, pools[0]) for pool in pools)


def test_a_job_that_fails_leaves_features_to_the_next(tmp_path):
    def broken(pixels):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        reference_features(images(60, 1), broken, cache_dir=tmp_path, key="a", device=CPU)
    network.seen = 0
    assert len(reference_features(images(60, 1), network, cache_dir=tmp_path, key="a", device=CPU)) == 60
    assert network.seen == 60


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.EACCES], ids=["no locks", "not writable"])
def test_features_are_kept_where_there_are_no_locks(tmp_path, monkeypatch, reason):
    """A network drive, or a cache that somebody else keeps: correct, if not cheap."""

    def refuse(path):
        raise OSError(reason, "refused")

    monkeypatch.setattr(locks, "_lock", refuse)
    network.seen = 0
    for _ in range(2):
        assert len(reference_features(images(60, 1), network, cache_dir=tmp_path, key="a", device=CPU)) == 60
    assert network.seen == 60  # the second has read what the first kept


def test_statistics_belong_to_their_images_and_settings(tmp_path):
    real = make_reference(tmp_path)
    assert torch.equal(real.squared_radii(3, CPU), neighbours.squared_radii(real.pool, 3))
    assert torch.equal(real.squared_radii(4, CPU), neighbours.squared_radii(real.pool, 4))
    part = real.subset(50)
    assert torch.equal(part.squared_radii(3, CPU), neighbours.squared_radii(part.pool, 3))
    of_class = real.of_class(2)
    assert torch.equal(of_class.pool, real.pool[real.labels == 2])
    assert torch.equal(of_class.squared_radii(3, CPU), neighbours.squared_radii(of_class.pool, 3))
    again = make_reference(tmp_path)
    assert torch.equal(again.subset(50).squared_radii(3, CPU), part.squared_radii(3, CPU))
    assert torch.equal(again.moments.covariance, statistics.moments(real.pool).covariance)
    assert again.moments.count == 90


def test_fresh_distances_are_of_the_test_split_or_of_others(tmp_path):
    real = make_reference(tmp_path)
    expected, _ = neighbours.nearest(real.test.pool, real.pool)
    assert torch.equal(real.fresh_distances(CPU), expected)
    alone = Reference(pool=real.pool)
    assert (alone.fresh_distances(CPU) > 0).all()
    assert len(alone.fresh_distances(CPU)) == 90


@pytest.mark.parametrize("damage", [b"", b"x" * 300])
def test_damaged_statistics_are_computed_again(tmp_path, damage):
    good = make_reference(tmp_path).moments
    for path in tmp_path.iterdir():
        path.write_bytes(damage)
    network.seen = 0
    assert torch.equal(make_reference(tmp_path).moments.covariance, good.covariance)
    assert network.seen == 150


def test_a_cache_keeps_names_and_keys_apart(tmp_path):
    cache = TensorCache(tmp_path, "a")
    cache.write("x", {"t": torch.ones(2)})
    assert torch.equal(cache.read("x")["t"], torch.ones(2))
    assert cache.read("y") is None
    assert TensorCache(tmp_path, "b").read("x") is None
    assert cache.below("x").read("x") is None
    cache.write("bad", {"t": torch.tensor([float("nan")])})
    assert cache.read("bad") is None


def test_other_test_images_are_other_distances(tmp_path):
    """As many as before, so that only their contents tell."""
    found = []
    for seed in (1, 2):
        test = reference_features(images(60, seed), network, cache_dir=tmp_path, key="a", device=CPU)
        real = reference_features(images(90, 0), network, cache_dir=tmp_path, key="a", device=CPU, test=test)
        found.append(real.fresh_distances(CPU))
    assert not torch.equal(*found)
    expected, _ = neighbours.nearest(test.pool, real.pool)
    assert torch.equal(found[1], expected)


def test_edited_metrics_do_not_get_old_statistics(tmp_path, monkeypatch):
    make_reference(tmp_path).squared_radii(3, CPU)
    monkeypatch.setattr(reference, "package_sha256", lambda package: "edited")
    monkeypatch.setattr(reference, "squared_radii", lambda features, k: torch.zeros(len(features)))
    assert not make_reference(tmp_path).squared_radii(3, CPU).any()
