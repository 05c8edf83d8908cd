"""Options of other tools, and what they are called here."""

from __future__ import annotations

from collections.abc import Mapping

_HABITS: tuple[tuple[str, str], ...] = (
    (
        "epochs epoch num-epochs n-epochs max-epochs",
        "training is counted in thousands of real images: --kimg N; an epoch of N images is N/1000 kimg",
    ),
    (
        "iters iterations niter steps max-steps num-steps",
        "training is counted in thousands of real images: --kimg N; a step is train.batch_size images",
    ),
    ("lr learning-rate glr dlr g-lr d-lr lr-g lr-d", "--set train.g_lr=0.0002 --set train.d_lr=0.0002"),
    ("batch-size batch batchsize batch-gpu", "--set train.batch_size=64"),
    (
        "gpus gpu ngpu cuda gpu-id gpu-ids",
        "--device cuda, --device cuda:1 or --device cpu; `ganzoo bench --concurrent N` trains several runs on one",
    ),
    ("workers num-workers", "leave it out: images are decoded once and kept"),
    (
        "resume continue checkpoint ckpt",
        "leave it out: the same command continues where it stopped; --init RUN starts from weights",
    ),
    (
        "data dataroot data-dir data-path root",
        "--dataset NAME, --dataset folder:PATH or --dataset npz:PATH; --data-root DIR is where downloads are kept",
    ),
    ("outdir outf out-dir output output-dir logdir save-dir", "--out PATH"),
    ("imagesize image-size img-size resolution res", "--size PIXELS"),
    ("nz latent-dim z-dim zdim", "--set variant.z_dim=100, where the variant has it: `ganzoo show VARIANT`"),
    ("ngf ndf cbase channels", "--set variant.channels=64, where the variant has it: `ganzoo show VARIANT`"),
    ("n-critic ncritic critic-iters d-steps", "--set train.d_steps=5"),
    ("beta1 beta2 b1 b2 betas", "--set train.beta1=0.5 --set train.beta2=0.999"),
    ("cfg conf yaml", "--config FILE, a TOML or JSON file, or --preset NAME; `ganzoo show train` lists settings"),
    ("snap save-every save-freq sample-interval", "--set train.snapshots=8"),
    ("amp fp16 bf16 half fp32", "--precision bf16 or --precision fp32"),
    ("loss gan-mode lambda-gp gp gamma", "--objective NAME, and its settings: `ganzoo list`, `ganzoo show wgan-gp`"),
    ("manualseed random-seed", "--seed S"),
    ("model arch network gan variant", "name it without an option: `ganzoo train dcgan`"),
    ("num-samples nsamples n-samples num-fid-samples", "-n N for `ganzoo sample`, --num-images N for scores"),
    ("seeds", "--seed S is one; `ganzoo bench --seeds N` trains with several"),
    ("class classes label class-idx", "--labels A,B for `ganzoo sample`"),
)
CURES: Mapping[str, str] = {name: cure for names, cure in _HABITS for name in names.split()}
"""Option, in small letters and with "-" -> how the same is said to us."""


def cure_of(option: str) -> str | None:
    """How to say here what is called so elsewhere; None: nobody calls anything so."""
    return CURES.get(option.lower().replace("_", "-").strip("-"))
