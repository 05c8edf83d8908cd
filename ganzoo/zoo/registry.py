"""Name -> spec, for every kind. A name means one thing: duplicates raise, unknown names suggest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

from ganzoo.errors import DuplicateName, FitError, UnknownName, UserError
from ganzoo.zoo.plugins import Plugin, load_plugins
from ganzoo.zoo.specs import (
    KINDS,
    Augmentation,
    Callback,
    Dataset,
    Executor,
    Features,
    Metric,
    Model,
    Objective,
    Regularizer,
    Spec,
    Variant,
)
from ganzoo.zoo.validation import Known

S = TypeVar("S", bound=Spec)


class Registry:
    """The zoo: every spec of every loaded plugin. Built once per command with `Registry.load()`."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        """
        Raises:
            DuplicateName: two plugins register the same name for the same kind; both owners are named.
        """
        self.plugins = list(plugins)
        self._specs: dict[str, dict[str, Spec]] = {kind: {} for kind in KINDS}
        self._owners: dict[tuple[str, str], Plugin] = {}
        for plugin in self.plugins:
            for kind, specs in plugin.specs.items():
                for spec in specs:
                    self._add(kind, spec, plugin)

    @classmethod
    def load(
        cls, files: Sequence[Path] = (), environ: Mapping[str, str] | None = None, known: Known | None = None
    ) -> Registry:
        """The zoo of this installation and of the local plugin `files`; arguments and errors as in `load_plugins`."""
        return cls(load_plugins(files, environ, known))

    def _add(self, kind: str, spec: Spec, plugin: Plugin) -> None:
        if spec.name in self._specs[kind]:
            other = self._owners[kind, spec.name]
            installed = next((p for p in (plugin, other) if not p.local and p.name != "core"), None)
            raise DuplicateName(
                f"two plugins register the {_singular(kind)} '{spec.name}': {other} and {plugin}",
                f"leave one out with GANZOO_DISABLE={installed.name}" if installed else "rename yours",
            )
        self._specs[kind][spec.name] = spec
        self._owners[kind, spec.name] = plugin

    def owner(self, kind: str, name: str) -> Plugin:
        """The plugin that registered `name`."""
        self._get(kind, name, Spec)
        return self._owners[kind, name]

    @contextmanager
    def blamed(self, kind: str, spec: Spec, field: str) -> Iterator[None]:
        """Errors of the user's that are raised within are those of the plugin of `spec`, in what its `field` says.

        Raises:
            FitError: which names plugin, hook, spec and field; a bench leaves out such a variant.
        """
        try:
            yield
        except UserError as error:
            raise FitError(
                f"plugin {self._owners[kind, spec.name]}: register_{kind}: {_singular(kind)} '{spec.name}': {field}: "
                f"{error.cause}",
                error.cure,
            ) from None

    def objective_of(self, variant: Variant) -> Objective:
        """The variant's own.

        Raises:
            FitError: nobody registers it.
        """
        with self.blamed("variants", variant, "objective"):
            return self.objective(variant.objective)

    def failures(self) -> list[Plugin]:
        """Plugins that were left out because they are broken."""
        return [plugin for plugin in self.plugins if plugin.error]

    def all(self, kind: str) -> list[Spec]:
        """Every spec of a kind (a key of `ganzoo.zoo.specs.KINDS`), in order of registration."""
        return list(self._specs[kind].values())

    def find(self, name: str) -> list[tuple[str, Spec]]:
        """(kind, spec) for every kind that has `name`.

        Raises:
            UnknownName: no kind has it.
        """
        found = [(kind, specs[name]) for kind, specs in self._specs.items() if name in specs]
        if not found:
            known = {name for specs in self._specs.values() for name in specs}
            raise UnknownName("name", name, known, self._hint(), self._mend())
        return found

    def variants(self) -> list[Variant]:
        return [cast(Variant, spec) for spec in self.all("variants")]

    def variant(self, name: str) -> Variant:
        return self._get("variants", name, Variant)

    def objective(self, name: str) -> Objective:
        return self._get("objectives", name, Objective)

    def regularizer(self, name: str) -> Regularizer:
        return self._get("regularizers", name, Regularizer)

    def augmentation(self, name: str) -> Augmentation:
        return self._get("augmentations", name, Augmentation)

    def dataset(self, name: str) -> Dataset:
        return self._get("datasets", name, Dataset)

    def features(self, name: str) -> Features:
        return self._get("features", name, Features)

    def metric(self, name: str) -> Metric:
        return self._get("metrics", name, Metric)

    def callback(self, name: str) -> Callback:
        return self._get("callbacks", name, Callback)

    def model(self, name: str) -> Model:
        return self._get("models", name, Model)

    def executor(self, name: str) -> Executor:
        return self._get("executors", name, Executor)

    def models(self) -> list[Model]:
        return [cast(Model, spec) for spec in self.all("models")]

    def has(self, section: str, name: str) -> bool:
        """Whether `find_spec` would find it."""
        return name in self._specs[_kind(section)]

    def find_spec(self, section: str, name: str) -> Spec:
        """The spec a config section speaks of: ("variant", "dcgan") -> the Variant."""
        return self._get(_kind(section), name, Spec)

    def _get(self, kind: str, name: str, spec_type: type[S]) -> S:
        if name not in self._specs[kind]:
            others = [other for other, specs in self._specs.items() if name in specs]
            where = f", which is {_article(_singular(others[0]))}" if others else ""
            raise UnknownName(_singular(kind), name, self._specs[kind], where + self._hint(), self._mend())
        return cast(S, self._specs[kind][name])

    def _hint(self) -> str:
        failed = self.failures()
        return f"; plugin {failed[0].name} failed to load ({failed[0].error})" if failed else ""

    def _mend(self) -> str:
        failed = next(iter(self.failures()), None)
        if failed is None:
            return ""
        file = f" --plugin {failed.origin}" if failed.local else ""
        return f"mend plugin {failed.name}: `ganzoo plugins {failed.name}{file}` has the traceback"


def _kind(section: str) -> str:
    """The kind a config section speaks of: "variant" -> "variants"."""
    return section if section == "features" else f"{section}s"


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _singular(kind: str) -> str:
    return "feature network" if kind == "features" else kind[:-1]
