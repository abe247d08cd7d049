"""Runs zmount's steps in the virtual environment of an instance that is down.

That environment need not have zmount, and its user need not be able to read zmount's
files: the source of ``zmount.agent`` comes with the plan.

    python steps.py < {"sources": {MODULE: TEXT}, "plan": PLAN} > result
"""

import importlib
import importlib.abc
import importlib.util
import json
import os
import sys


def main():
    """Carry out the plan on stdin."""
    asked = json.load(sys.stdin)
    # Products print what they like: stdout is for the result alone.
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    json.dump(_imported(asked["sources"]).prepare(asked["plan"]), result)
    result.close()


def _imported(sources):
    """Return ``zmount.agent.by_itself`` from SOURCES, and leave no trace of them.

    What the instance's configuration includes must be what is installed there.
    """
    finder = _Sources(sources)
    sys.meta_path.insert(0, finder)
    if importlib.util.find_spec("zmount") is None:
        sys.modules["zmount"] = type(sys)("zmount")
        sys.modules["zmount"].__path__ = []
    by_itself = importlib.import_module("zmount.agent.by_itself")
    sys.meta_path.remove(finder)
    for name in [name for name in sys.modules if name.split(".")[0] == "zmount"]:
        del sys.modules[name]
    return by_itself


class _Sources(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules in a mapping of names to texts."""

    def __init__(self, sources):
        self.sources = sources

    def find_spec(self, name, path=None, target=None):
        """Return where NAME comes from, if from here."""
        if name not in self.sources:
            return None
        is_package = any(each.startswith(name + ".") for each in self.sources)
        return importlib.util.spec_from_loader(name, self, is_package=is_package)

    def exec_module(self, module):
        """Run the text of MODULE."""
        exec(compile(self.sources[module.__name__], module.__name__, "exec"), vars(module))


if __name__ == "__main__":
    main()
