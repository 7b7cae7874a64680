"""Declarations by name: built-in, registered by the user, or from other packages.

Modules of a registry's folder with an attribute of the registry's name are found automatically.
Other packages add declarations by entry points, which are read only if a name is unknown or
everything is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from threading import RLock
from typing import Any, TypeVar

from whyclip.errors import OptionError, quoted, reason, unknown, warn

T = TypeVar("T")

_BY_KIND: dict[type, Registry[Any]] = {}


class Registry(Mapping[str, T]):
    """Declarations of one kind by their ``name``, in the order of the modules' names.

    Args:
        noun: kind of the declarations, for errors.
        package: the package whose modules declare them.
        kind: their class.
        *attributes: names of the modules' attributes; each holds one declaration or a tuple.
        group: group of entry points of other packages; each refers to a declaration or a tuple of
            them. Empty for none.
        order: sort key of the built-in declarations.
    """

    def __init__(
        self,
        noun: str,
        package: str,
        kind: type[T],
        *attributes: str,
        group: str = "",
        order: Callable[[T], Any] | None = None,
    ) -> None:
        self.noun, self.kind, self.group = noun, kind, group
        self._package, self._attributes, self._order = package, attributes, order
        self._declared: dict[str, T] = {}
        self._origins: dict[str, str] = {}
        self._built_in: dict[str, T] = {}
        self._read_built_in = self._read_others = False
        self._lock = RLock()
        if group:
            _BY_KIND[kind] = self

    def __getitem__(self, name: str) -> T:
        """Return the declaration of this name; entry points are read only if it is unknown."""
        built_in = self._load_built_in()
        return built_in[name] if name in built_in else self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def built_in(self) -> Mapping[str, T]:
        """Return the package's own declarations, without registered and third-party ones."""
        self._load_built_in()
        return self._built_in

    def add(self, declaration: T, origin: str = "") -> None:
        """Add one declaration; adding the same object again changes nothing.

        Args:
            declaration: has a ``name``.
            origin: its origin, for errors; by default the module of its function.

        Raises:
            OptionError: another declaration has its name, or it is of another kind.
        """
        self._load_built_in()
        self._add(declaration, origin or _home(declaration))

    def _add(self, declaration: T, origin: str) -> None:
        if not isinstance(declaration, self.kind):
            raise OptionError(
                f"{origin} declares {quoted(declaration)}; give a {self.kind.__name__}"
            )
        name: str = declaration.name  # type: ignore[attr-defined]
        if self._declared.get(name, declaration) is not declaration:
            raise OptionError(
                f"{self.noun} {quoted(name)} is declared twice, by {self._origins[name]} and by "
                f"{origin}; rename one of them"
            )
        self._declared[name] = declaration
        self._origins.setdefault(name, origin)

    def _load_built_in(self) -> Mapping[str, T]:
        with self._lock:
            if not self._read_built_in:
                declarations = list(declared(self._package, *self._attributes))
                if self._order is not None:
                    order = self._order
                    declarations.sort(key=lambda pair: order(pair[0]))
                for declaration, origin in declarations:
                    self._add(declaration, origin)
                self._built_in = dict(self._declared)
                self._read_built_in = True
        return self._declared

    def _all(self) -> Mapping[str, T]:
        self._load_built_in()
        with self._lock:
            if not self._read_others:
                self._read_others = True
                for point in third_party(self.group):
                    self._read(point)
        return self._declared

    def _read(self, point: EntryPoint) -> None:
        """Add the declarations of an entry point; one that cannot be imported is skipped."""
        origin = f"entry point {point.value}" + (f" of {point.dist.name}" if point.dist else "")
        try:
            loaded = point.load()
        except Exception as error:  # noqa: BLE001 - another package's code may raise anything
            warn(f"{origin} cannot be loaded and is skipped: {reason(error)}")
            return
        for declaration in loaded if isinstance(loaded, tuple) else (loaded,):
            self._add(declaration, origin)


def third_party(group: str) -> tuple[EntryPoint, ...]:
    """Entry points of a group, in the order of their names."""
    return tuple(sorted(entry_points(group=group), key=lambda p: p.name)) if group else ()


def declared(package: str, *attributes: str) -> Iterator[tuple[Any, str]]:
    """Yield the declarations in the modules of a package, with the module's name."""
    paths: Iterable[str] = import_module(package).__path__
    for module_info in iter_modules(paths):
        name = f"{package}.{module_info.name}"
        module = import_module(name)
        for attribute in attributes:
            value = getattr(module, attribute, ())
            for declaration in value if isinstance(value, tuple) else (value,):
                yield declaration, name


def register(declaration: Any) -> None:
    """Register a custom method, metric or kind of dataset under its name.

    Args:
        declaration: a ``whyclip.methods.Method``, ``whyclip.metrics.Metric`` or
            ``whyclip.datasets.kind.DatasetKind``. Registering the same object again changes
            nothing.

    Raises:
        OptionError: another type, or a name that is taken; the message names both origins.
    """
    for kind, registry in _BY_KIND.items():
        if isinstance(declaration, kind):
            registry.add(declaration)
            return
    raise OptionError(
        f"cannot register {quoted(declaration)}; give a Method, a Metric or a DatasetKind"
    )


def look_up(noun: str, name: str, known: Mapping[str, T]) -> T:
    """Return the entry of a name.

    Raises:
        OptionError: unknown name; the message names the nearest.
    """
    if not isinstance(name, str) or name not in known:
        raise unknown(noun, name, known)
    return known[name]


def _home(declaration: object) -> str:
    """The module of a declaration's function, for errors."""
    functions = (getattr(declaration, name, None) for name in ("relevance", "value", "open"))
    function = next(filter(None, functions), None)
    return str(getattr(function, "__module__", None) or "whyclip.register")
