"""What the records of a run directory must hold: one schema each, checked once, where they are read. Torch-free.

The records stay the plain dictionaries that they are in the files. What is checked here, the rest of the program relies
on; fields that are not named here may hold anything, and are only shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from ganzoo.files.reading import LARGEST, Unreadable, decode_json, lines_of
from ganzoo.files.text import clean

RESULT_SCHEMA = 2
"""Version of result.json. A file with another number is refused."""

Number = float | None  # finite: `ganzoo.files.reading.cleaned` makes None of what is not
Numbers = dict[str, Number]
Count = Annotated[int, Meta(ge=0, le=10**15)]
Digest = Annotated[str, Meta(min_length=1, max_length=128)]


class Choice(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=200)]


class Train(Struct):
    kimg: Number = None
    minutes: Number = None
    until: str | None = None
    snapshots: Annotated[int, Meta(ge=1, le=10**6)] = 8
    scores: str = "every"
    ema_kimg: float = 10.0
    keep: str | None = None


class Config(Struct):
    variant: Choice
    objective: Choice
    dataset: Choice
    train: Train
    features: Choice | None = None
    regularizers: dict[str, Any] | None = None  # name -> settings
    augmentations: dict[str, Any] | None = None
    eval: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    name: str | None = None


class Score(Struct):
    values: Numbers
    images: Count = 0
    kimg: float = 0.0
    left_out: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    sample_img_per_s: float = 0.0
    peak_memory: Number = None
    protocol: str = ""


class MetricsLine(Struct):
    images: Count
    values: Numbers
    protocol: str
    seconds: float
    sample_img_per_s: float
    left_out: dict[str, str]
    kimg: float = 0.0
    peak_memory: Number = None


class DiagnosticsLine(Struct):
    images: Count
    kimg: float
    rule: str
    text: str
    cure: str
    link: str


class Floor(Struct):
    name: str
    what: str
    images: Count
    reference: Count
    values: Numbers


class Protocol(Struct):
    id: Annotated[str, Meta(min_length=1, max_length=500)]
    dataset_sha256: str = ""
    test_sha256: str = ""


class Environment(Struct):
    device: str
    precision: str
    python: str
    packages: dict[str, str | None]
    concurrent: int = 1  # runs that shared the device
    beside: int = 0  # runs on other processors of the machine
    ranks: int = 1  # processes that did it together
    sync_batch_norm: bool = True  # of them


class Until(Struct):
    metric: str
    value: float
    reached: bool
    seconds: Number = None


class Split(Struct):
    sha256: Digest
    images: Count
    shape: Annotated[list[Count], Meta(min_length=3, max_length=3)]
    num_classes: Count
    facts: dict[str, Any] | None = None


class Data(Struct):
    train: Split
    test: Split | None = None


class Budget(Struct):
    snapshots: Annotated[int, Meta(ge=1, le=10**6)]
    kimg: Number = None
    minutes: Number = None


class Init(Struct):
    run: str
    kimg: float
    sha256: Digest
    discriminator: bool
    weights_sha256: str = ""


class Engine(Struct):
    passes: Literal["one", "one by halves", "two"]
    different: str | None = None
    flop_per_product: Number = None


class Run(Struct):
    """run.json."""

    data: Data | None = None
    budgets: list[Budget] = field(default_factory=list)
    init: Init | None = None
    not_known: str | None = None
    source: str | None = None
    sources: dict[str, str] = field(default_factory=dict)
    engine: Engine | None = None
    cleaned: list[str] = field(default_factory=list)


class Result(Struct):
    """result.json."""

    schema: Literal[2]
    config: Config
    protocol: Protocol
    environment: Environment
    dataset: str
    seed: int
    last: Score | None
    diverged: str | None = None
    best: Score | None = None
    untrained: Score | None = None
    floors: list[Floor] | None = None
    left_out: dict[str, str] | None = None
    until: Until | None = None
    kimg: Number = None
    train_img_per_s: Number = None
    sample_img_per_s: Number = None
    parameters: dict[str, float] | None = None
    peak_memory: Number = None
    score_peak_memory: Number = None
    joules: Number = None
    seconds: Numbers | None = None
    source: str | None = None
    higher_is_better: dict[str, bool] | None = None
    data: Data | None = None
    budgets: list[Budget] | None = None
    init: Init | None = None
    snapshots: dict[str, str] | None = None
    not_known: str | None = None


class SpeedRow(Struct):
    variant: str
    objective: str
    dataset: str
    batch_size: int
    parameters: int
    train_img_per_s: Annotated[float, Meta(gt=0)]
    sample_img_per_s: Annotated[float, Meta(gt=0)]


class Speed(Struct):
    """speed.json."""

    schema: int
    rows: list[SpeedRow]
    environment: dict[str, Any]


T = TypeVar("T")


def check(document: Any, schema: type[T]) -> dict[str, Any]:
    """`document` as it is, if it is of the schema.

    Raises:
        Unreadable: it is not; with the field.
    """
    try:
        msgspec.convert(document, schema)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        field_name = where.strip("`").removeprefix("$.") or "the document"
        if field_name == "schema" and isinstance(found := document["schema"], int):
            cure = ": a newer ganzoo wrote it, so update this one" if found > RESULT_SCHEMA else ""
            raise Unreadable(
                f"is no record of this version, which reads schema {RESULT_SCHEMA}, not {found}{cure}"
            ) from None
        raise Unreadable(f"is no record of this version: {clean(field_name, 100)}: {clean(what, 200)}") from None
    assert isinstance(document, dict)
    return document


def read_record(data: bytes, schema: type[T]) -> dict[str, Any]:
    """A JSON record of a schema above; errors as in `ganzoo.files.reading.decode_json` and `check`."""
    return check(decode_json(data), schema)


MOST_TICKS, MOST_SCORES = 200_000, 20_000
"""Lines that are read of stats.jsonl and metrics.jsonl."""

_STATS = msgspec.json.Decoder(dict[str, Any])

_MEASURED = {"images", "kimg", "seconds", "img_per_s", "d_accuracy", "diversity", "penalty", "peak_memory"}
"""With what ends in "loss": numbers or null in a line of stats.jsonl. What else is no number is not read."""


def stats_lines(data: bytes) -> Iterator[dict[str, Any]]:
    """The ticks of stats.jsonl. A line that is none, cut short by a kill or worse, is left out."""
    for line in lines_of(data, MOST_TICKS):
        try:
            found = _STATS.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            continue
        numbers = {key: value for key, value in found.items() if value is None or type(value) in (int, float)}
        if any(key in _MEASURED or key.endswith("loss") for key in found.keys() - numbers.keys()):
            continue
        document = {clean(key, 100): _measured(value) for key, value in numbers.items()}
        if isinstance(document.get("images"), int):
            yield document


def _measured(value: float | None) -> float | None:
    return value if value is not None and abs(value) <= LARGEST else None


def metrics_lines(data: bytes) -> Iterator[dict[str, Any]]:
    """The scores of metrics.jsonl; as `stats_lines`."""
    for line in lines_of(data, MOST_SCORES):
        try:
            yield read_record(line, MetricsLine)
        except Unreadable:
            continue


def diagnostics_lines(data: bytes) -> Iterator[dict[str, Any]]:
    """What was found, of diagnostics.jsonl; as `stats_lines`. Text is text only."""
    for line in lines_of(data, MOST_SCORES):
        try:
            document = read_record(line, DiagnosticsLine)
        except Unreadable:
            continue
        yield {key: clean(value, 1000) if isinstance(value, str) else value for key, value in document.items()}
