"""What stands at the axes of charts: the words for a number, and the values it can have. Torch-free."""

from __future__ import annotations

from ganzoo.files.text import clean

_WORDS = {
    "fid_inf": "FID of infinitely many images",
    "best_fid": "FID of the best snapshot",
    "is": "Inception score",
    "kid_se": "standard error of KID",
    "precision": "precision",
    "density": "density",
    "coverage": "coverage",
    "class_fid": "FID of one class, mean",
    "class_recall": "recall of one class, mean",
    "cond_acc": "images of the class asked for (%)",
    "cas": "classification accuracy score (%)",
    "modes": "classes found",
    "class_kl": "KL divergence of classes (nats)",
    "memorised": "near copies of training images (%)",
    "nn_closer": "nearer to training than test images (%)",
    "diverged": "seeds that diverged (%)",
    "time_to": "seconds of training to the target",
    "kimg": "real images shown to D (kimg)",
    "train_img_per_s": "training speed (images/s)",
    "wall_seconds_per_image": "seconds of the whole run per image",
    "sample_img_per_s": "sampling speed (images/s)",
    "parameters": "parameters",
    "peak_memory": "peak memory of training (bytes)",
    "score_peak_memory": "peak memory of scoring (bytes)",
    "joules": "energy of training (J)",
    "seconds": "seconds of the whole run",
    "d_loss": "loss of D",
    "g_loss": "loss of G",
    "d_accuracy": "accuracy of D",
    "img_per_s": "training speed (images/s)",
    "diversity": "diversity of generated images",
    "real_logits": "logits of D, real images",
    "fake_logits": "logits of D, generated images",
}
"""Of columns whose title is short, and of what training records."""

_SHARES = ("precision", "recall", "coverage", "class_recall", "d_accuracy")
_PERCENT = ("cond_acc", "cas", "memorised", "nn_closer", "diverged")
_NOT_NEGATIVE = (
    *("fid", "best_fid", "class_fid", "kid_se", "density", "modes", "class_kl", "time_to", "kimg", "train_img_per_s"),
    *("wall_seconds_per_image", "sample_img_per_s", "parameters", "peak_memory", "score_peak_memory", "joules"),
    *("seconds", "img_per_s", "diversity"),
)


def in_words(key: str, title: str) -> str:
    """What an axis is called; `title`: where nothing better is known."""
    return clean(_WORDS.get(key, title))


def limits(key: str) -> tuple[float | None, float | None]:
    """The least and the greatest value there can be; None: nobody knows of one."""
    if key in _SHARES:
        return 0.0, 1.0
    if key in _PERCENT:
        return 0.0, 100.0
    if key == "is":
        return 1.0, None
    return (0.0, None) if key in _NOT_NEGATIVE else (None, None)
