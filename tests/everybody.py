"""A virtual environment that every user of this machine may run, for tests run by root."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """#!{venv}/bin/python
import sys
from {module} import main
sys.exit(main())
"""
PROGRAMS = {"runzeo": "ZEO.runzeo", "zdaemon": "zdaemon.zdctl"}


def python_of_everybody() -> Path | None:
    """Return a Python of this one's version that all users may run; None: there is none."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (
        Path(sys.executable).resolve(),
        Path("/usr/bin", name),
        Path("/usr/local/bin", name),
    ):
        if path.exists() and all(up.stat().st_mode & 0o001 for up in (path, *path.parents)):
            return path
    return None


def make_environment(directory: Path, python: Path) -> None:
    """Make DIRECTORY an environment of PYTHON that has what this one has, zmount too."""
    subprocess.run(
        [str(python), "-m", "venv", "--without-pip", str(directory)], check=True, cwd="/"
    )
    (packages,) = directory.glob("lib/python*/site-packages")
    ours = [path for path in sys.path if path.endswith("site-packages")]
    zmount = Path(__file__).parents[1]
    (packages / "all.pth").write_text("\n".join((str(zmount), *ours)) + "\n")
    for name, module in PROGRAMS.items():
        program = directory / "bin" / name
        program.write_text(PROGRAM.format(venv=directory, module=module))
        program.chmod(0o755)
    directory.chmod(0o755)
