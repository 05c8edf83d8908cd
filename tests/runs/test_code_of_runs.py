"""Runs of plugins that were edited, or that are not there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

GanZoo = Callable[..., subprocess.CompletedProcess[str]]
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "my_gan.py"
OPTIONS = ["--set", "train.scores=none", "--set", "train.snapshots=1", "--set", "variant.width=8"]


@pytest.fixture
def run(tmp_path: Path, ganzoo: GanZoo, data_root: Path) -> list[str | Path]:
    """`my-gan` was trained into `run` by a copy of the example that is now in `my_gan.py`; the command, without
    --plugin and --kimg.
    """
    (tmp_path / "my_gan.py").write_text(EXAMPLE.read_text())
    command = ["train", "my-gan", *OPTIONS, "--data-root", data_root, "--out", "run"]
    ganzoo(*command, "--plugin", "my_gan.py", "--kimg", "0.1")
    return command


def test_an_edited_plugin_neither_continues_a_run_nor_returns_its_result(
    run: list[str | Path], tmp_path: Path, ganzoo: GanZoo
) -> None:
    plugin = ["--plugin", "my_gan.py"]
    text = (tmp_path / "my_gan.py").read_text()
    before = (tmp_path / "run" / "result.json").read_bytes()
    (tmp_path / "my_gan.py").write_text(text.replace("nn.SiLU", "nn.ReLU"))
    for kimg in ("0.1", "0.2"):
        done = ganzoo(*run, *plugin, "--kimg", kimg, code=2)
        assert done.stderr.endswith(
            "error: run began with other code than variant 'my-gan' has now\n  try: bring the old code back, choose "
            "another --out, or start anew from its weights: --init run --out DIR\n"
        )
        assert "Traceback" not in done.stderr
    assert (tmp_path / "run" / "result.json").read_bytes() == before
    ganzoo(*run[:-1], "other", *plugin, "--kimg", "0.1", "--init", "run")
    (tmp_path / "my_gan.py").write_text(text)
    ganzoo(*run, *plugin, "--kimg", "0.1")
    ganzoo(*run, *plugin, "--kimg", "0.2")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["kimg"] > 0.15


def test_a_run_that_was_not_finished_is_not_continued_by_other_code(
    run: list[str | Path], tmp_path: Path, ganzoo: GanZoo
) -> None:
    (tmp_path / "run" / "result.json").unlink()
    with (tmp_path / "my_gan.py").open("a") as file:
        file.write("# edited\n")
    done = ganzoo(*run, "--plugin", "my_gan.py", "--kimg", "0.1", code=2)
    assert "began with other code than variant 'my-gan' has now" in done.stderr


def test_a_run_of_an_earlier_version_goes_on(run: list[str | Path], tmp_path: Path, ganzoo: GanZoo) -> None:
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert list(record.pop("sources")) == ["variant 'my-gan'"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    with (tmp_path / "my_gan.py").open("a") as file:
        file.write("# edited\n")
    ganzoo(*run, "--plugin", "my_gan.py", "--kimg", "0.2")


def test_a_plugin_s_run_without_the_plugin(run: list[str | Path], tmp_path: Path, ganzoo: GanZoo) -> None:
    cure = f"  try: the run was made with it: repeat --plugin {tmp_path}/my_gan.py\n"
    for command in (["sample", "run"], ["eval", "run"], [*run, "--kimg", "0.2"]):
        done = ganzoo(*command, code=2)
        assert done.stderr.endswith(f"error: unknown variant 'my-gan'\n{cure}"), done.stderr
    done = ganzoo("bench", "--variants", "my-gan", "--out", ".", code=2)
    assert done.stderr.endswith(cure)
    ganzoo("sample", "run", "--plugin", "my_gan.py")
    (tmp_path / "my_gan.py").write_text("raise SystemExit('imported')")
    assert "imported" not in ganzoo("eval", "run", code=2).stderr
    (tmp_path / "run" / "config.json").unlink()  # a snapshot knows what it is of
    [file, *_] = (tmp_path / "run" / "snapshots").iterdir()
    assert ganzoo("sample", file, code=2).stderr.endswith(cure)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--dataset", "digitz"], "did you mean digits"),
        (["--objective", "hinj"], "did you mean hinge"),
        (["--regularize", "r1,lecan"], "did you mean lecam"),
        (["--objective", "gan"], "which is a variant"),  # names that its config has, of other kinds
        (["--objective", "train"], "known: "),
        (["--dataset", "fid"], "which is a metric"),
    ],
)
def test_a_plugin_that_was_there_by_chance_is_no_cure(
    words: list[str], meant: str, tmp_path: Path, ganzoo: GanZoo, data_root: Path
) -> None:
    """A bench of a plugin's variant has it in the record of each of its runs."""
    run = tmp_path / "runs" / "digits" / "gan-s0-abcd1234"
    ganzoo("train", "gan", *OPTIONS, "--kimg", "0.1", "--data-root", data_root, "--out", run)
    (run / "env.json").write_text(json.dumps({"plugins": {"mine": "/a.py"}}))
    done = ganzoo("train", "gan", *words, code=2)
    assert meant in done.stderr
    assert "/a.py" not in done.stderr
    assert "did you mean dcgan" in ganzoo("bench", "--variants", "gan,dcgna", code=2).stderr
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"callbacks": ["tensorboard", "told"]}))
    assert "repeat --plugin /a.py" in ganzoo("train", "gan", "--log", "told", code=2).stderr
    (run / "config.json").write_text(json.dumps(config | {"regularizers": {"calm": {"weight": 1}}}))
    assert "repeat --plugin /a.py" in ganzoo("train", "gan", "--regularize", "calm", code=2).stderr
    (tmp_path / "broken.py").write_text("import nothing_here")
    (run / "env.json").write_text(json.dumps({"plugins": {"broken": str(tmp_path / "broken.py")}}))
    done = ganzoo("train", "gan", "--regularize", "calm", "--plugin", "broken.py", code=2)
    assert "`ganzoo plugins broken --plugin " in done.stderr
    assert "repeat" not in done.stderr


@pytest.mark.parametrize(
    ("plugins", "cure"),
    [
        ({"other": "ganzoo-other 2.3", "core": "ganzoo 0.1.0"}, "install or enable other (ganzoo-other 2.3)"),
        (
            {"other": "ganzoo-other 2.3", "a": "/a.py"},
            "repeat --plugin /a.py and install or enable other (ganzoo-other",
        ),
        ({"core": "ganzoo 0.1.0"}, "known: "),
        (["core"], "known: "),
        ({"a": "/a.py\n\x1b[31m"}, "repeat --plugin /a.py"),
    ],
)
def test_what_the_record_says(
    plugins: object, cure: str, run: list[str | Path], tmp_path: Path, ganzoo: GanZoo
) -> None:
    (tmp_path / "run" / "env.json").write_text(json.dumps({"plugins": plugins}))
    done = ganzoo("eval", "run", code=2)
    assert cure in done.stderr
    assert "\x1b" not in done.stderr
