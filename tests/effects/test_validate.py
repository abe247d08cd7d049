"""The real schemas judge generated files before these are written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from topologies import topology_of

from zmount.effects.in_zope import validate as in_zope
from zmount.effects.validate import ENVIRONMENT, INVALID, demand_valid, validate
from zmount.errors import EnvironmentMissing, RenderError
from zmount.render.files import generated_files
from zmount.render.generated import GeneratedFile
from zmount.topology.findings import Finding
from zmount.topology.topology import Topology

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*/zmount.conf"))
TOPOLOGY = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
<instance pub>
  <mount content>
    mount-point /content
  </mount>
</instance>
"""


def judged(topology: Topology, *, is_elsewhere: bool = False) -> list[Finding]:
    """Return what is found in all files of all hosts of TOPOLOGY."""
    return [
        finding
        for host in topology.hosts
        for finding in validate(
            topology, host, generated_files(topology, host), is_elsewhere=is_elsewhere
        )
    ]


def spoiled(files: tuple[GeneratedFile, ...], reader: str, old: str, new: str):
    """Return FILES with a mistake in the file of READER."""
    wrong = next(file for file in files if file.reader == reader and old in file.text)
    spoilt = replace(wrong, text=wrong.text.replace(old, new, 1))
    return tuple(spoilt if file is wrong else file for file in files)


@pytest.mark.parametrize("conf", CONFIGS, ids=lambda path: path.parent.name)
def test_the_example_loads_in_the_real_schemas(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in re.findall(r"\$\((\w+)\)", conf.read_text()):
        monkeypatch.setenv(name, "secret of " + name)
    shutil.copytree(conf.parent, tmp_path, dirs_exist_ok=True)
    text = conf.read_text().replace("/opt/zope/venv", sys.prefix)

    assert judged(topology_of(tmp_path, text)) == []


def test_nothing_is_wrong_with_the_files_as_they_are(tmp_path: Path):
    assert judged(topology_of(tmp_path, TOPOLOGY)) == []
    assert list(tmp_path.iterdir()) == [tmp_path / "zmount.conf"]  # no directory was needed


# reader, what is right, what is written instead, what the reader says
MISTAKES = [
    ("zeo", "pid-filename", "pid-filname", "'pid-filname' is not a known key"),
    ("zeo", "level info", "level shout", "shout"),
    ("zope", "pid-filename", "pid-file", "'pid-file' is not a known key"),
    ("zope", "mount-point /content", "mount-point content", "must begin with a slash"),
    ("zope", "mount-point /content", "mount-point /", "same mount point"),
    ("zope", "<zeoclient>", "<zeoclent>", "zeoclent"),
    ("zdaemon", "backoff-limit 10", "backoff-limit ten", "'ten'"),
    ("ini", "egg:waitress#main", "egg:waitress#mein", "mein"),
    ("ini", "egg:Paste#translogger", "egg:Pasta#translogger", "Pasta"),
    ("ini", "threads = 4", "threads = four", "waitress: "),
    ("ini", "threads = 4", "thread = 4", "waitress: Unknown adjustment"),
    ("ini", "class = handlers.W", "class = handlers.V", "logging: [handler_eventlog]"),
    ("ini", "level = INFO", "level = LOUD", "unknown level LOUD"),
    ("ini", "handlers = eventlog", "handlers = evenlog", "no handler evenlog"),
    ("ini", "[server:main]", "[server:main", "already exists"),
]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, list[dict[str, Any]]]]:
    """For each of MISTAKES the text with it, and what the script says; it is run once."""
    topology = topology_of(tmp_path_factory.mktemp("mistakes"), TOPOLOGY)
    files = generated_files(topology, topology.hosts[0])
    texts = [
        next(
            file.text.replace(old, new, 1)
            for file in files
            if file.reader == reader and old in file.text
        )
        for reader, old, new, _ in MISTAKES
    ]
    request = [
        {"path": str(number), "reader": mistake[0], "text": text}
        for number, (mistake, text) in enumerate(zip(MISTAKES, texts, strict=True))
    ]
    done = subprocess.run(
        [sys.executable, in_zope.__file__],
        input=json.dumps({"files": request}),
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    return [
        (text, [wrong for wrong in said if wrong["path"] == str(number)])
        for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize("number", range(len(MISTAKES)), ids=lambda n: MISTAKES[n][2])
def test_a_mistake_is_found_at_its_line(number: int, verdicts):
    _, _, new, what = MISTAKES[number]
    text, (wrong,) = verdicts[number]
    line, lines = wrong["line"], text.splitlines()

    assert what in wrong["what"]
    # of what concerns a whole section, it is the section's line
    near = lines[max(line - 2, 0) : line + 4] if line else [new]
    assert any(new in each for each in near)
    assert line or "mount point" in what  # ZConfig knows no line of that


def test_xml_that_is_not_well_formed_is_found_at_its_line(tmp_path: Path):
    topology = topology_of(tmp_path, TOPOLOGY)
    files = generated_files(topology, topology.hosts[0])
    files = spoiled(files, "zcml", "</configure>", "</configur>")
    zcml = next(file for file in files if file.reader == "zcml")

    (finding,) = validate(topology, topology.hosts[0], files)

    assert "mismatched tag" in finding.what
    assert finding.place.file == str(zcml.path)
    assert zcml.text.splitlines()[finding.place.line - 1] == "</configur>"


def test_a_file_that_does_not_load_is_refused(tmp_path: Path):
    topology = topology_of(tmp_path, TOPOLOGY)
    files = generated_files(topology, topology.hosts[0])
    files = spoiled(files, "zope", "pid-filename", "pid-file")

    with pytest.raises(RenderError, match=r"zope\.conf:6: 'pid-file' is not a known key"):
        demand_valid(validate(topology, topology.hosts[0], files))


def test_valid_files_are_not_refused(tmp_path: Path):
    demand_valid(judged(topology_of(tmp_path, TOPOLOGY)))


def test_a_virtual_environment_that_is_missing_is_said_once_for_each_program(tmp_path: Path):
    topology = topology_of(tmp_path, f"venv {tmp_path}/venv\n{TOPOLOGY}")

    found = judged(topology)

    assert [(finding.rule, finding.severity) for finding in found] == [(ENVIRONMENT, "error")] * 2
    with pytest.raises(EnvironmentMissing, match=r"venv/bin/runwsgi does not exist: pub cannot"):
        demand_valid(found)


def _environment(directory: Path, python: str) -> Path:
    """Make a virtual environment whose programs are run by PYTHON, with a bin/python to it."""
    bin = directory / "venv" / "bin"
    bin.mkdir(parents=True)
    (bin / "python").symlink_to(python)
    for name in ("runzeo", "runwsgi", "zmount"):
        (bin / name).write_text(f"#!{bin}/python\n")
        (bin / name).chmod(0o755)
    return bin


def test_a_virtual_environment_whose_python_is_gone_is_said_once_for_each_program(tmp_path: Path):
    bin = _environment(tmp_path, "/usr/bin/python2.3")

    found = judged(topology_of(tmp_path, f"venv {tmp_path}/venv\n{TOPOLOGY}"))

    assert [(finding.rule, finding.severity) for finding in found] == [(ENVIRONMENT, "error")] * 2
    with pytest.raises(
        EnvironmentMissing, match=f"runwsgi needs {bin}/python, which cannot be run"
    ):
        demand_valid(found)


def test_where_no_python_can_judge_the_files_they_are_refused(tmp_path: Path):
    """Programs that run, as buildout makes them, in a directory without a Python."""
    bin = _environment(tmp_path, sys.executable)
    for program in ("runzeo", "runwsgi"):
        (bin / program).write_text("#!/bin/sh\n")
    (bin / "python").unlink()

    (finding,) = judged(topology_of(tmp_path, f"venv {tmp_path}/venv\n{TOPOLOGY}"))

    assert f"{bin}/python does not exist: nobody could judge the files of zeo, pub" in str(finding)
    with pytest.raises(EnvironmentMissing):
        demand_valid([finding])


def test_for_another_host_a_missing_virtual_environment_is_a_warning(tmp_path: Path):
    topology = topology_of(tmp_path, f"venv {tmp_path}/venv\n{TOPOLOGY}")

    found = judged(topology, is_elsewhere=True)

    assert {finding.severity for finding in found} == {"warning"}
    demand_valid(found)


@pytest.mark.parametrize(
    ("manager", "program"), [("zdaemon", "zmount"), ("supervisor", "supervisord")]
)
def test_a_boot_service_without_its_program_is_a_warning(
    manager: str, program: str, tmp_path: Path
):
    bin = tmp_path / "venv" / "bin"
    bin.mkdir(parents=True)
    for name in ("python", "runzeo", "runwsgi"):
        (bin / name).symlink_to(Path(sys.prefix, "bin", name))
    # so that this is an environment with the packages of our own
    (tmp_path / "venv" / "pyvenv.cfg").write_text(Path(sys.prefix, "pyvenv.cfg").read_text())
    (tmp_path / "venv" / "lib").symlink_to(Path(sys.prefix, "lib"))
    topology = topology_of(tmp_path, f"manager {manager}\nvenv {tmp_path}/venv\n{TOPOLOGY}")

    (finding,) = judged(topology)

    assert finding.severity == "warning"
    assert f"venv/bin/{program} does not exist: zmount.service could not" in str(finding)


def test_without_the_virtual_environment_zeo_conf_is_judged_by_our_own_zeo(tmp_path: Path):
    topology = topology_of(tmp_path, f"venv {tmp_path}/venv\n{TOPOLOGY}")
    files = generated_files(topology, topology.hosts[0])
    files = spoiled(files, "zeo", "pid-filename", "pid-filname")

    found = validate(topology, topology.hosts[0], files, is_elsewhere=True)

    assert [finding.rule for finding in found if finding.severity == "error"] == [INVALID]


def test_a_product_that_is_not_installed_is_named_with_who_wants_it(tmp_path: Path):
    text = TOPOLOGY.replace("<instance pub>", "<instance pub>\nproduct Products.Nowhere")

    (finding,) = judged(topology_of(tmp_path, text))

    assert finding.rule == ENVIRONMENT
    assert "has no package Products.Nowhere: pub cannot start" in str(finding)
    assert "pip install Products.Nowhere" in finding.hint


def test_a_zcml_package_that_is_not_installed_is_named(tmp_path: Path):
    text = TOPOLOGY.replace("<instance pub>", "<instance pub>\nzcml nowhere.policy-meta")

    (finding,) = judged(topology_of(tmp_path, text))

    assert "no package nowhere.policy with a file meta.zcml" in str(finding)


def test_a_zcml_file_that_is_not_in_its_package_is_named(tmp_path: Path):
    text = TOPOLOGY.replace("<instance pub>", "<instance pub>\nzcml Products.PythonScripts-meta")

    (finding,) = judged(topology_of(tmp_path, text))

    assert "Products.PythonScripts with a file meta.zcml" in finding.what


def test_a_package_on_the_instances_own_path_is_found(tmp_path: Path):
    (tmp_path / "extra" / "ourpolicy").mkdir(parents=True)
    (tmp_path / "extra" / "ourpolicy" / "__init__.py").write_text("")
    (tmp_path / "extra" / "ourpolicy" / "configure.zcml").write_text("<configure/>")
    said = f"zcml ourpolicy\n<environment>\nPYTHONPATH {tmp_path}/extra\n</environment>"
    text = TOPOLOGY.replace("<instance pub>", f"<instance pub>\n{said}")

    assert judged(topology_of(tmp_path, text)) == []


def test_an_import_that_is_not_installed_is_refused_where_it_is_read(tmp_path: Path):
    text = "%import nowhere.storage\n" + TOPOLOGY.replace(
        "<storage content/>", "<storage content>\n<nowherestorage/>\n</storage>"
    )

    found = judged(topology_of(tmp_path, text))

    assert ["zeo.conf" in finding.place.file for finding in found] == [True]
    assert "nowhere.storage" in found[0].what


def test_a_password_function_that_cannot_be_imported_is_refused(tmp_path: Path):
    tls = """
    <ssl>
      certificate c.pem
      password-function nowhere.at_all
      authenticate SIGNED
    </ssl>"""
    text = TOPOLOGY.replace("<zeo zeo>", f"<zeo zeo>{tls}")

    (finding,) = judged(topology_of(tmp_path, text))

    assert "nowhere.at_all cannot be imported" in finding.what


def test_what_a_product_prints_when_it_is_imported_does_not_disturb(tmp_path: Path):
    (tmp_path / "noisy.py").write_text("print('hello')\n\n\ndef factory(*args):\n    pass\n")
    said = f"<environment>\nPYTHONPATH {tmp_path}\n</environment>\n"
    said += "<database>\nclass-factory noisy.factory\n</database>"
    text = TOPOLOGY.replace("<instance pub>", f"<instance pub>\n{said}")

    assert judged(topology_of(tmp_path, text)) == []


@pytest.fixture
def without_zmount(tmp_path: Path) -> Path:
    """A virtual environment with all that ours has but zmount."""
    bin = _environment(tmp_path, sys.executable)
    venv = bin.parent
    (venv / "pyvenv.cfg").write_text(Path(sys.prefix, "pyvenv.cfg").read_text())
    ours = Path(sysconfig.get_path("purelib"))
    theirs = venv / ours.relative_to(sys.prefix)
    theirs.mkdir(parents=True)
    for each in ours.iterdir():
        if "zmount" not in each.name:
            (theirs / each.name).symlink_to(each)
    return venv


def test_a_virtual_environment_without_zmount_has_not_the_packer_of_its_storages(
    without_zmount: Path, tmp_path: Path
):
    topology = topology_of(tmp_path, f"venv {without_zmount}\n{TOPOLOGY}")

    (finding,) = (one for one in judged(topology) if one.severity == "error")

    assert finding.what == f"{without_zmount} has no zmount, whose packer its storages have"
    assert finding.why == "zeo, pub cannot start"
    assert finding.hint.startswith(f"{without_zmount}/bin/pip install zmount; or packer stock")
    with pytest.raises(EnvironmentMissing):
        demand_valid([finding])


def test_a_virtual_environment_without_zmount_has_no_stages(without_zmount: Path, tmp_path: Path):
    text = "packer stock\nvenv {venv}\n<zeo zeo/>\n<site x.org/>\n<instance pub/>\n"
    topology = topology_of(tmp_path, text.format(venv=without_zmount))

    (finding,) = (one for one in judged(topology) if one.severity == "error")

    assert finding.what == f"{without_zmount} has no zmount, whose stages its staging storages are"
    assert finding.why == "zeo cannot start"
    assert finding.hint.endswith("or stage-mode none, in zmount.conf")
    without = topology_of(tmp_path, "stage-mode none\n" + text.format(venv=without_zmount))
    assert [one for one in judged(without) if one.severity == "error"] == []


def test_stages_with_the_stock_packer_are_right(tmp_path: Path):
    text = "packer stock\n<zeo zeo/>\n<site x.org/>\n<instance pub/>\n"

    assert [one for one in judged(topology_of(tmp_path, text)) if one.severity == "error"] == []


def test_with_the_stock_packer_it_needs_no_zmount(without_zmount: Path, tmp_path: Path):
    topology = topology_of(tmp_path, f"packer stock\nvenv {without_zmount}\n{TOPOLOGY}")

    assert [one for one in judged(topology) if one.severity == "error"] == []


@pytest.mark.parametrize(
    "packer", ["zmount.filestorage.packer.other", "nowhere.packer", "nowhere:packer", "os:x.y"]
)
def test_a_packer_that_is_not_installed_is_named_with_who_wants_it(packer: str, tmp_path: Path):
    text = TOPOLOGY.replace("<storage content/>", f"<storage content>\npacker {packer}\n</storage>")
    found = judged(topology_of(tmp_path, text))

    if packer == "os:x.y":  # any expression: only its module can be looked at
        assert found == []
        return
    (finding,) = found
    assert f"has no {packer}, which is the packer of its storages: zeo cannot" in str(finding)
