"""The order of images, both samplers, and the law of labels."""

import threading

import pytest
import torch

from ganzoo.data import Images, label_law, make_images, make_sampler
from ganzoo.data.sampler import ResidentSampler, StreamingSampler

CPU = torch.device("cpu")


def dataset(n: int, labelled: bool = True) -> Images:
    pixels = torch.arange(n * 4, dtype=torch.int64).remainder(256).to(torch.uint8).reshape(n, 1, 2, 2)
    pixels[:, 0, 0, 0] = torch.arange(n) % 256
    pixels[:, 0, 0, 1] = torch.arange(n) // 256
    return make_images(pixels, torch.arange(n) % 7 if labelled else None, num_classes=7 if labelled else None)


def numbers(pixels: torch.Tensor) -> list[int]:
    """Which image of `dataset` each one is."""
    return (pixels[:, 0, 0, 0].long() + 256 * pixels[:, 0, 0, 1].long()).tolist()


def first(images: Images, count: int, **options) -> list[int]:
    sampler = make_sampler(images, device="cpu", **options)
    drawn = [i for index in range(count) for i in numbers(sampler.batch(index)[0])]
    sampler.close()
    return drawn


@pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (3, 8), (1, 5), (1000, 64), (64, 64)])
def test_every_epoch_holds_every_image_once(n: int, batch_size: int) -> None:
    drawn = first(dataset(n), -(-3 * n // batch_size), batch_size=batch_size, seed=0)
    for epoch in range(3):
        assert sorted(drawn[epoch * n : (epoch + 1) * n]) == list(range(n))


def test_blocks_of_epochs_meet_without_a_gap() -> None:
    n = 300  # one block of the order is 219 epochs here
    sampler = make_sampler(dataset(n), batch_size=128, device="cpu", seed=0)
    start = 218 * n // 128
    drawn = [i for index in range(start, start + 12) for i in numbers(sampler.batch(index)[0])]
    skip = 218 * n - start * 128
    for epoch in range(3):
        assert sorted(drawn[skip + epoch * n : skip + (epoch + 1) * n]) == list(range(n))


def test_epochs_and_seeds_differ() -> None:
    drawn = first(dataset(100), 2, batch_size=100, seed=0)
    assert drawn[:100] != drawn[100:]
    assert first(dataset(100), 1, batch_size=100, seed=1) != drawn[:100]
    assert first(dataset(100), 2, batch_size=100, seed=0) == drawn


@pytest.mark.parametrize("n", [5, 50, 700])
@pytest.mark.parametrize("labelled", [True, False])
def test_both_samplers_give_the_same_batches_in_any_order(n: int, labelled: bool) -> None:
    images = dataset(n, labelled)
    resident = make_sampler(images, batch_size=16, device="cpu", seed=3, resident_limit_bytes=10**9)
    streaming = make_sampler(images, batch_size=16, device="cpu", seed=3, resident_limit_bytes=0)
    assert isinstance(resident, ResidentSampler)
    assert isinstance(streaming, StreamingSampler)
    for index in [0, 1, 2, 40, 41, 7, 8, 8, 100_000]:
        (pixels, labels), (pixels_too, labels_too) = resident.batch(index), streaming.batch(index)
        assert pixels.shape == (16, 1, 2, 2)
        assert torch.equal(pixels, pixels_too)
        if labelled:
            assert labels is not None
            assert labels.dtype == torch.int64
            assert torch.equal(labels, labels_too)
            assert labels.tolist() == [i % 7 for i in numbers(pixels)]
        else:
            assert labels is labels_too is None
    resident.close()
    streaming.close()


def test_resume_is_starting_at_the_next_index() -> None:
    through = make_sampler(dataset(30), batch_size=8, device="cpu", seed=0, resident_limit_bytes=0)
    batches = [through.batch(index)[0].clone() for index in range(12)]
    again = make_sampler(dataset(30), batch_size=8, device="cpu", seed=0, resident_limit_bytes=0)
    for index in range(7, 12):
        assert torch.equal(again.batch(index)[0], batches[index])


def test_a_streamed_batch_is_not_overwritten_by_later_ones() -> None:
    sampler = make_sampler(dataset(500), batch_size=32, device="cpu", seed=0, resident_limit_bytes=0)
    kept = sampler.batch(0)[0]
    before = kept.clone()
    for index in range(1, 6):
        sampler.batch(index)
    assert torch.equal(kept, before)


def test_the_next_batch_is_gathered_ahead_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    gathered: list[tuple[int, bool]] = []
    ready = threading.Event()
    gather = StreamingSampler._gather

    def spy(self: StreamingSampler, index: int, turn: int):
        gathered.append((index, threading.current_thread() is threading.main_thread()))
        if index == 5:
            ready.set()
        return gather(self, index, turn)

    monkeypatch.setattr(StreamingSampler, "_gather", spy)
    sampler = make_sampler(dataset(50), batch_size=8, device="cpu", seed=0, resident_limit_bytes=0)
    sampler.batch(4)
    assert ready.wait(timeout=10)
    sampler.batch(5)
    sampler.close()
    assert gathered[:2] == [(4, False), (5, False)]
    assert [index for index, _ in gathered].count(5) == 1


def test_close_ends_the_thread() -> None:
    sampler = make_sampler(dataset(50), batch_size=8, device="cpu", seed=0, resident_limit_bytes=0)
    sampler.batch(0)
    assert any(t.name.startswith("ganzoo-prefetch") for t in threading.enumerate())
    sampler.close()
    assert not any(t.name.startswith("ganzoo-prefetch") for t in threading.enumerate())


def test_pixels_in_memory_stay_resident_on_the_cpu_by_default() -> None:
    assert isinstance(make_sampler(dataset(9), batch_size=2, device="cpu", seed=0), ResidentSampler)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_batches_of_the_cpu() -> None:
    images = dataset(700)
    expected = make_sampler(images, batch_size=64, device="cpu", seed=1)
    for limit in (0, 10**9):
        sampler = make_sampler(images, batch_size=64, device="cuda", seed=1, resident_limit_bytes=limit)
        drawn = [sampler.batch(index) for index in range(200)]
        for index, (pixels, labels) in enumerate(drawn):
            pixels_cpu, labels_cpu = expected.batch(index)
            assert torch.equal(pixels.cpu(), pixels_cpu)
            assert labels is not None
            assert torch.equal(labels.cpu(), labels_cpu)
        sampler.close()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_resident_batch_makes_no_host_sync() -> None:
    sampler = make_sampler(dataset(700), batch_size=64, device="cuda", seed=1)
    sampler.batch(0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for index in range(1, 50):
            sampler.batch(index)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_balanced_classes_get_equal_counts() -> None:
    drawn, law = label_law(torch.arange(1000) % 10, 105, num_classes=10)
    assert law == "balanced"
    assert sorted(torch.bincount(drawn).tolist()) == [10] * 5 + [11] * 5
    assert drawn.dtype == torch.int64


@pytest.mark.parametrize("counts", [[100] * 10, [700, 200, 100, 0], [1, 1, 1, 900], [37, 411, 5, 98, 260]])
def test_the_label_of_an_image_does_not_depend_on_how_many_there_are(counts: list[int]) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    whole, law = label_law(labels, 1000, num_classes=len(counts))
    shares = torch.tensor(counts, dtype=torch.float64) / sum(counts)
    for n in (1, 2, 9, 64, 100, 250, 999, 1000):
        drawn = label_law(labels, n, num_classes=len(counts))
        assert torch.equal(drawn[0], whole[:n])
        assert drawn[1] == law
        found = torch.bincount(drawn[0], minlength=len(counts))
        assert float((found - n * shares).abs().max()) < 1  # at every count as near as whole numbers come


def test_within_ten_percent_is_balanced_and_beyond_is_empirical() -> None:
    near = torch.repeat_interleave(torch.arange(2), torch.tensor([109, 91]))
    far = torch.repeat_interleave(torch.arange(2), torch.tensor([111, 89]))
    assert label_law(near, 10, num_classes=2)[1] == "balanced"
    assert label_law(far, 10, num_classes=2)[1] == "empirical"


def test_empirical_counts_follow_the_dataset() -> None:
    labels = torch.repeat_interleave(torch.arange(4), torch.tensor([700, 200, 100, 0]))
    drawn, law = label_law(labels, 101, num_classes=4)
    assert law == "empirical"
    assert torch.bincount(drawn, minlength=4).tolist() == [71, 20, 10, 0]


@pytest.mark.parametrize("limit", [10**9, 0], ids=["resident", "streaming"])
def test_the_parts_of_a_batch_are_the_batch(limit: int) -> None:
    """Across the borders of epochs, too."""
    images = dataset(50)
    whole, *parts = (
        make_sampler(images, batch_size=12, device="cpu", seed=3, resident_limit_bytes=limit, part=part)
        for part in [(0, 1), (0, 3), (1, 3), (2, 3)]
    )
    for index in [0, 1, 4, 5460, 5461, 12]:
        pixels, labels = whole.batch(index)
        of_parts = [part.batch(index) for part in parts]
        assert [len(those) for those, _ in of_parts] == [4, 4, 4]
        assert torch.equal(torch.cat([those for those, _ in of_parts]), pixels)
        assert labels is not None
        assert torch.equal(torch.cat([those for _, those in of_parts if those is not None]), labels)
    for sampler in (whole, *parts):
        sampler.close()


def test_parts_are_equal() -> None:
    with pytest.raises(ValueError, match="no part 0 of 5 equal parts of 12"):
        make_sampler(dataset(50), batch_size=12, device="cpu", seed=0, part=(0, 5))
