"""Only for compiled extensions; everything else is in setup.cfg.

The cores of ``zmount/filestorage`` are compiled where Cython and a C compiler
are; without them the installation works, and the cores run as plain Python.
Each library holds the digest of its source, so that ``cores.py`` never uses one
that was built from another: see ``MARK`` there.
"""

import ast
import hashlib
import io
import tokenize
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

CORES = ("records", "references", "mark", "copy", "check", "index", "lanes")
SOURCES = [Path("zmount", "filestorage", f"_{core}.py") for core in CORES]


class BuildCores(build_ext):
    """Translates each core to C, marks it with its source's digest, compiles it."""

    def build_extension(self, ext):
        try:
            ext.sources = [self.translated(Path(ext.sources[0]))]
        except Exception as error:
            # an installation must not fail for it, whatever this Cython raises
            raise CompileError(f"Cython cannot translate {ext.sources[0]}: {error}") from error
        super().build_extension(ext)

    def translated(self, source):
        """Return the path of SOURCE translated to C; kept while SOURCE is the same."""
        from Cython import __version__
        from Cython.Compiler.Main import compile_single
        from Cython.Compiler.Options import CompilationOptions

        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        mark = f'const char zmount_core[] = "zmount core: source {digest}, Cython {__version__};";'
        target = Path(self.build_temp, source.with_suffix(".c"))
        if target.exists() and target.read_text().endswith(mark + "\n"):
            return str(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        prepared = target.with_suffix(".py")
        prepared.write_text(with_constants(source.read_text()))
        options = CompilationOptions(output_file=str(target), language_level=3)
        result = compile_single(str(prepared), options, f"zmount.filestorage.{source.stem}")
        if result.num_errors:
            target.unlink(missing_ok=True)
            raise CompileError(f"{result.num_errors} errors")
        text = target.read_text().replace(str(prepared), str(source))  # for tracebacks
        target.write_text(f"{text}\nextern {mark.partition(' =')[0]};\n{mark}\n")
        return str(target)


def with_constants(text):
    """Return TEXT, a core, with the values of its constants in place of their names.

    Cython would look up a module's ``POSITION = 0`` as a Python object at each
    use. For those who import the core the names stay.
    """
    values = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").isupper():
            names = {each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)}
            value = eval(ast.unparse(node.value), {}, dict(values)) if names <= set(values) else ""
            if isinstance(value, int):
                values[node.targets[0].id] = value
    lines = text.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(text).readline))):
        (row, start), (_, end) = token.start, token.end
        if token.type == tokenize.NAME and token.string in values and start > 0:
            line = lines[row - 1]
            lines[row - 1] = f"{line[:start]}{values[token.string]}{line[end:]}"
    return "".join(lines)


def extensions():
    """Return what to compile: the cores, or nothing where there is no Cython."""
    try:
        import Cython  # noqa: F401
    except ImportError:
        return []
    return [
        Extension(
            f"zmount.filestorage.{source.stem}",
            [str(source)],
            extra_compile_args=["-O3"],
            optional=True,
        )
        for source in SOURCES
        if source.exists()
    ]


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildCores})
