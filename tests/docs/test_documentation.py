"""The documentation is whole: pages up to date, links lead somewhere, snippets check clean."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import click
import pytest

import zmount
from zmount.cli.app import COMMANDS, main
from zmount.operations.check import check_file

ROOT = Path(__file__).parent.parent.parent
SCHEMA = ET.parse(ROOT / "zmount" / "topology" / "schema.xml").getroot()
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
SNIPPETS = [
    pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, (name, text) in enumerate(
        re.findall(r"^```zmount[ ]*(\S*)\n(.*?)^```$", page.read_text(), re.M | re.S)
    )
    if not name
]
SECTIONS = [pytest.param(each, id=str(each.get("name"))) for each in SCHEMA.iter("sectiontype")]


def test_the_generated_pages_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "scripts/docs", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_page_is_noticed(tmp_path):
    for name in ("docs", "scripts", "zmount", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").unlink()
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    script = tmp_path / "copy"  # finds the pages beside itself, not in the checkout
    script.write_text(
        (ROOT / "scripts" / "docs")
        .read_text()
        .replace("Path(__file__).resolve().parent.parent", f"Path({str(tmp_path)!r})")
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert run("--check").returncode == 1
    assert run().returncode == 0
    assert run("--check").returncode == 0
    page = tmp_path / "docs" / "reference" / "exit-codes.md"
    page.write_text(page.read_text().replace("success", "failure"))
    again = run("--check")
    assert again.returncode == 1
    assert "exit-codes.md: out of date" in again.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """Return what can stand behind ``#`` in a link to PAGE."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize("text", SNIPPETS)
def test_every_snippet_of_a_zmount_conf_checks_without_errors(tmp_path, monkeypatch, text):
    (tmp_path / "zmount.conf").write_text(text)
    (tmp_path / "secrets.conf").write_text("administrator-password sample\n")

    monkeypatch.setenv("ZOPE_PASSWORD", "sample")

    verdict = check_file(tmp_path / "zmount.conf")

    assert [str(each) for each in verdict.findings if each.severity == "error"] == []


def test_there_are_snippets():
    assert len(SNIPPETS) > 25


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_of_the_schema_has_a_description_and_an_example(section):
    assert (section.findtext("description") or "").strip()
    assert (section.findtext("example") or "").strip()


@pytest.mark.parametrize("section", [*SECTIONS, pytest.param(SCHEMA, id="the file")])
def test_every_key_of_the_schema_has_a_description(section):
    keys = [key for key in section if key.tag in ("key", "multikey") and key.get("name") != "+"]

    assert [
        key.get("name") for key in keys if not (key.findtext("description") or "").strip()
    ] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name):
    command = main.get_command(click.Context(main), name)

    assert command is not None
    assert command.help
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_the_readme_names_every_command():
    text = (ROOT / "README.md").read_text()
    table = text[text.index("## Commands") : text.index("## What it promises")]

    assert [name for name in COMMANDS if f"`zmount {name}`" not in table] == ["stop", "restart"]
    assert "`zmount start`, `stop`, `restart`" in table


def test_the_readme_shows_the_picture():
    assert "](docs/images/vsa.svg)" in (ROOT / "README.md").read_text()


def test_the_python_examples_run(tmp_path, monkeypatch):
    (tmp_path / "zmount.conf").write_text(
        "<zeo zeo/>\n<site example.org/>\n<instance dev>\nkind development\nhttp-address 8081\n"
        "</instance>\n<instance pub/>"
    )
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "reference" / "python.md").read_text()

    names: dict[str, object] = {}
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S):
        exec(code, names)

    assert isinstance(names["topology"], zmount.Topology)


def test_the_changes_name_the_version():
    assert f"{zmount.__version__} (unreleased)" in (ROOT / "CHANGES.rst").read_text()
