"""What terms and parts say, looked at before a run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ganzoo.engine.statistics import COLUMNS
from ganzoo.gan import Part, Term
from ganzoo.zoo.calls import blame
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Objective, Regularizer, Variant

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def check_terms(registry: Registry, kind: str, spec: Variant | Objective | Regularizer, terms: Any) -> None:
    """
    Raises:
        BrokenPlugin: they are no terms, or a field of one is not what it must be; or one goes by how far the run has
            come, and the spec, which is all that a run's config knows of it, does not say so: the run could be made
            longer, and would not be what it would have been.
    """

    def wrong(cause: str, cure: str) -> Exception:
        return blame(registry, kind, spec, cause, cure)

    if not isinstance(terms, Iterable) or isinstance(terms, (str, Mapping)):
        raise wrong(f"terms are a {type(terms).__name__}", "give a list of ganzoo.Term, of one perhaps: terms=[...]")
    for term in terms:
        if not isinstance(term, Term):
            raise wrong(f"a term is a {type(term).__name__}", "give ganzoo.Term(name=..., phase=..., loss=...)")
        which = f"the term {term.name!r}"
        if not isinstance(term.name, str) or not _NAME.fullmatch(term.name):
            raise wrong(f"a term is called {term.name!r}", "use small letters, digits, hyphens and underscores")
        if term.name in COLUMNS:
            raise wrong(f"{which} has the name of a column of stats.jsonl", "call it something else")
        if not callable(term.loss):
            cause = f"the loss of {which} is a {type(term.loss).__name__}, not a function"
            raise wrong(cause, "give a function of the batch")
        if isinstance(term.every, bool) or not isinstance(term.every, int) or term.every < 1:
            raise wrong(f"every of {which} is {term.every!r}", "give a whole number of updates, from 1")
        if not isinstance(term.weight, (int, float)) or not math.isfinite(term.weight):
            raise wrong(f"weight of {which} is {term.weight!r}", "give a finite number")
        if term.progress and not spec.progress:
            raise wrong(f"{which} says progress=True, and its spec does not", "say progress=True in the spec, too")


def check_parts(registry: Registry, variant: Variant, parts: Any) -> None:
    """
    Raises:
        BrokenPlugin: they are no parts by name, have the name of what is there, or are moved by a phase that is none.
    """
    if not isinstance(parts, Mapping):
        cause = f"GAN.parts is a {type(parts).__name__}, not a dict"
        raise blame(registry, "variants", variant, cause, "give each a name: parts={'encoder': Part(...)}")
    for name, part in parts.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            cause = f"a part is called {name!r}"
            raise blame(registry, "variants", variant, cause, "use small letters, digits, hyphens and underscores")
        if name in ("generator", "discriminator"):
            cause = f"a part is called '{name}', as the network of GAN.{name}"
            raise blame(registry, "variants", variant, cause, "call it something else")
        if not isinstance(part, Part):
            cause = f"the part '{name}' is a {type(part).__name__}, not a ganzoo.Part"
            raise blame(registry, "variants", variant, cause, "give ganzoo.Part(module=..., phase=...)")
        if part.phase not in ("D", "G", "own"):
            cause = f"the part '{name}' is moved by a phase {part.phase!r}"
            raise blame(registry, "variants", variant, cause, "say D, G or own")
