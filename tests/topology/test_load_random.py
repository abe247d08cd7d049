"""Whatever stands in the file: findings, no traceback, and soon."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from zmount.errors import TopologyError
from zmount.operations.check import Verdict, check_file
from zmount.topology.load import SCHEMA, load

CONFIGS = Path(__file__).parent.parent.parent / "configs"
VALID = [
    (CONFIGS / name / "zmount.conf").read_text()
    for name in ("vsa", "vsa-two-hosts", "catalog", "tls")
]
SECONDS = 2.0  # for one small file; it takes milliseconds

schema = Path(SCHEMA).read_text()
KEYS = sorted(set(re.findall(r'<(?:multi)?key name="([a-z-]+)"', schema)))
SECTIONS = sorted(set(re.findall(r'<sectiontype name="([a-z-]+)"', schema)))
NAMES = [
    "a",
    "b",
    "a.org",
    "pub/a.org",
    "stage/a.org",
    "root/a",
    "none",
    "all",
    "X",
    "-",
    "..",
    "/",
]
VALUES = [
    *NAMES,
    "8080",
    ":8080",
    "h:99999",
    "/s/..",
    "on",
    "0",
    "-1",
    "1e400",
    "12MB",
    "/",
    "/:/x",
    "/a:~r:/a",
    "a b c",
    "development",
    "admin",
    "$x",
    "$$",
    "%s%s",
    "~",
    "é\u2028",
]
names, values = st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=20)
lines = st.one_of(
    st.builds("{} {}".format, st.sampled_from(KEYS), values),
    st.builds("<{} {}>".format, st.sampled_from(SECTIONS), names),
    st.builds("<{} {}/>".format, st.sampled_from(SECTIONS), names),
    st.builds("<{}>".format, st.sampled_from(SECTIONS)),
    st.builds("</{}>".format, st.sampled_from(SECTIONS)),
    st.builds("%{} {}".format, st.sampled_from(["define", "include", "import", "x"]), values),
    st.text(max_size=30),
)


@st.composite
def mutations(draw) -> str:
    """A valid file in which lines were removed, doubled, moved, spoilt or put in."""
    text = draw(st.sampled_from(VALID)).splitlines()
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(text) - 1))
        match draw(st.sampled_from("remove double move spoil insert".split())):
            case "remove" if len(text) > 1:
                del text[at]
            case "double":
                text.insert(at, text[at])
            case "move":
                text.insert(draw(st.integers(0, len(text) - 1)), text.pop(at))
            case "spoil":
                cut = draw(st.integers(0, len(text[at])))
                text[at] = text[at][:cut] + draw(st.text(max_size=3)) + text[at][cut + 1 :]
            case _:
                text.insert(at, draw(lines))
    return "\n".join(text)


def judge(content: bytes) -> Verdict:
    """Return the verdict on CONTENT, which must come soon and be readable."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "zmount.conf"
        path.write_bytes(content)
        start = time.perf_counter()
        verdict = check_file(path)
        took = time.perf_counter() - start
        try:
            load(path)
        except TopologyError as why:
            assert str(why)
    assert took < SECONDS
    for finding in verdict.findings:
        assert finding.place.line <= content.count(b"\n") + 1
        assert len(str(finding).splitlines()) == 1
        assert "Traceback" not in str(finding)
    return verdict


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_judged(content):
    judge(content)


@settings(max_examples=150, deadline=None)
@given(st.lists(lines, max_size=40))
def test_any_lines_are_judged(text):
    judge("\n".join(text).encode("utf-8", "surrogatepass"))


@settings(max_examples=150, deadline=None)
@given(mutations())
def test_any_spoilt_file_is_judged(text):
    judge(text.encode("utf-8", "surrogatepass"))
