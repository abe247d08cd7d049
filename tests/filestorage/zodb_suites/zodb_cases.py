"""ZODB's own tests, as values: every case of a ``test_suite``, with what it needs around it."""

from __future__ import annotations

import importlib
import threading
import unittest
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A test of ZODB's; ``layers`` are what zope.testrunner would set up around it."""

    name: str
    test: unittest.TestCase
    layers: tuple[Any, ...]

    def run(self) -> None:
        """Run it; raise an AssertionError with all that it says if it fails."""
        result = unittest.TestResult()
        for layer in self.layers:
            layer.testSetUp()
        # one test sets the limit of recursion to 50: a thread has a short stack
        thread = threading.Thread(target=self.test.run, args=(result,))
        try:
            thread.start()
            thread.join()
        finally:
            for layer in reversed(self.layers):
                layer.testTearDown()
        said = [text for _, text in result.errors + result.failures]
        assert result.testsRun == 1 and not said, "\n".join(said)


def cases(*modules: str) -> list[Case]:
    """Return the cases of the suites of these MODULES, each under a name of its own."""
    found = []
    for name in modules:
        module = importlib.import_module(name)
        if hasattr(module, "test_suite"):
            suite = module.test_suite()
        else:
            suite = unittest.defaultTestLoader.loadTestsFromModule(module)
        found += list(_flat(name, suite, ()))
    seen: Counter[str] = Counter()
    named = []
    for module_name, test, layers in found:
        name = test.id().removeprefix("ZODB.").removeprefix("tests.")
        if "." not in name:  # a text file's
            name = f"{module_name.removeprefix('ZODB.').removeprefix('tests.')}.{name}"
        seen[name] += 1
        count = seen[name]
        named.append(Case(name=name if count == 1 else f"{name}#{count}", test=test, layers=layers))
    return named


def _flat(
    module: str, suite: Any, layers: tuple[Any, ...]
) -> Iterator[tuple[str, unittest.TestCase, tuple[Any, ...]]]:
    layer = getattr(suite, "layer", None)
    if layer is not None and layer not in layers:
        layers = (*layers, layer)
    if isinstance(suite, unittest.TestSuite):
        for each in suite:
            yield from _flat(module, each, layers)
    else:
        yield module, suite, layers
