"""What people type by the habit of other tools, and text that is no text."""

from __future__ import annotations

import re

import click
import pytest

from ganzoo.cli.main import cli
from ganzoo.config.habits import CURES
from ganzoo.config.layers import build_config
from ganzoo.errors import UserError
from ganzoo.zoo.registry import Registry


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["train", "gan", "--epochs", "3"], "--kimg N; an epoch of N images is N/1000 kimg"),
        (["train", "gan", "--iters=3"], "--kimg"),
        (["train", "gan", "--lr", "3"], "--set train.g_lr="),
        (["bench", "--batch-size", "3"], "--set train.batch_size="),
        (["train", "--batchSize", "3"], "--set train.batch_size="),
        (["train", "gan", "--gpus", "1"], "--device cuda"),
        (["train", "gan", "--workers", "1"], "leave it out"),
        (["train", "gan", "--resume", "x"], "the same command continues"),
        (["train", "gan", "--dataroot", "x"], "--dataset folder:PATH"),
        (["train", "gan", "--outdir", "x"], "--out"),
        (["train", "gan", "--imageSize", "64"], "--size"),
        (["train", "gan", "--n_critic", "5"], "train.d_steps"),
        (["eval", "x", "--beta1", "0.5"], "train.beta1"),
        (["sample", "x", "--cfg", "x"], "--config"),
    ],
)
def test_options_of_other_tools_have_an_answer(arguments: list[str], cure: str) -> None:
    with pytest.raises(UserError) as caught:
        cli.main(arguments, standalone_mode=False)
    assert "there is no option --" in caught.value.cause
    assert cure in caught.value.cure


def test_the_answers_are_right(registry: Registry) -> None:
    for cure in set(CURES.values()):
        sets = re.findall(r"--set (\S+?=[^ ,]+)", cure)
        build_config(registry, variant="dcgan", sets=sets)
        for command, option in re.findall(r"`ganzoo (\w+)[^`]*?(--[a-z-]+)", cure):
            assert option in {name for param in cli.commands[command].params for name in param.opts}
        for option in re.findall(r"(?<![`\w-])--[a-z-]+", re.sub(r"`[^`]*`", "", cure)):
            known = {name for command in cli.commands.values() for param in command.params for name in param.opts}
            assert option in known, option


def test_an_option_that_nobody_has_is_a_usage_error() -> None:
    with pytest.raises(click.NoSuchOption):
        cli.main(["train", "gan", "--frobnicate"], standalone_mode=False)


@pytest.mark.parametrize("text", ["folder:\udcff", "folder:a\0b"])
def test_text_that_is_no_path_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (["train", "gan", "--dataset", text], ["leaderboard", text], ["sample", "x", "--out", text]):
        with pytest.raises(UserError, match=r"UTF-8|zero byte") as caught:
            cli.main(arguments, standalone_mode=False)
        assert caught.value.cause.isascii()
    if "\0" not in text:
        monkeypatch.setenv("GANZOO_DATA", text)
        with pytest.raises(UserError, match="UTF-8"):
            cli.main(["doctor"], standalone_mode=False)
