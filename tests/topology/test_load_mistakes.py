"""Mistakes of writing: each is one clear line, and all are said in one run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from zmount.errors import TopologyError, TopologyNotFound
from zmount.operations.check import check_file
from zmount.topology.dead import _DEAD
from zmount.topology.load import load, read


def texts(path) -> list[str]:
    """What is found, without the file's name and the rules that judge a whole topology."""
    return [str(finding).removeprefix(str(path)).removeprefix(":") for finding in read(path)[1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<site/>", "1: error: <site> has no name (<site NAME>)"),
        ("<zeo/>", "1: error: <zeo> has no name (<zeo NAME>)"),
        (
            "<instance a>\n<mount>\nmount-point /x\n</mount>\n</instance>",
            "2: error: <mount> has no name (<mount NAME>)",
        ),
        ("<storage>\n</storage>", "1: error: <storage> has no name (<storage NAME>)"),
        (
            "<zeo a/>\n<zeo a/>",
            "2: error: <zeo a> stands twice: the first is in line 1 (join the two, or give one "
            "another name)",
        ),
        (
            "<zeo a>\n<ssl>\nkey x\n</ssl>\n</zeo>",
            "2: error: <ssl> has no certificate (certificate CERTIFICATE)",
        ),
        (
            "<zeo a>\n<log/>\n<log/>\n</zeo>",
            "3: error: <log> stands twice in <zeo>: there can be only one",
        ),
        ("user a\nuser b", "2: error: user: it stands twice (leave one out)"),
        ("directory", "1: error: directory: a value is expected"),
        (
            "manager initd",
            "1: error: manager initd: one of zdaemon, systemd, supervisor is expected",
        ),
        ("pack-days soon", "1: error: pack-days soon: a number is expected"),
        (
            "pack-days nan",
            "1: error: pack-days nan: a number is expected, not less than 0 nor endless",
        ),
        (
            "pack-days -1",
            "1: error: pack-days -1: a number is expected, not less than 0 nor endless",
        ),
        (
            "<instance a>\nreplicas 0\n</instance>",
            "2: error: replicas 0: a number from 1 to 9999 is expected",
        ),
        (
            "<instance a>\nkind private\n</instance>",
            "2: error: kind private: one of development, public, admin is expected",
        ),
        (
            "<client>\ncache-size big\n</client>",
            "2: error: cache-size big: a size, as 512KB, 20MB or 1GB, is expected",
        ),
        (
            "<zeo a>\nread-only maybe\n</zeo>",
            "2: error: read-only maybe: on or off is expected",
        ),
        (
            "<database>\npool-timeout x\n</database>",
            "2: error: pool-timeout x: a time, as 30s, 5m, 2h or 1d, is expected",
        ),
        ("usr zope", "1: error: usr is not known in the file (did you mean user?)"),
        ("<sit a/>", "1: error: <sit> is not known in the file (did you mean site?)"),
        (
            "<zeo a>\n<site b/>\n</zeo>",
            "2: error: <site> is not known in <zeo> (see the reference of zmount.conf)",
        ),
        (
            "<filestorage 1>\npath x\n</filestorage>",
            "1: error: <filestorage> is not known in the file: it belongs into a zeo.conf or "
            "zope.conf, or into a <storage> (zmount adopt makes a zmount.conf of those files)",
        ),
        ("<zeo a>", "1: error: <zeo> has no end (</zeo>, or <zeo .../> if it is empty)"),
        ("</zeo>", "1: error: </zeo> ends a section that never began"),
        ("<zeo a>\n</zoe>", "2: error: </zoe>: </zeo> is expected here"),
        (
            "<zeo a>\n<log>\nlevel info\n</zeo>",
            "2: error: <log> has no end (</log>, or <log .../> if it is empty)",
        ),
        (
            "<zeo a b/>",
            "1: error: <zeo a b/>: a section begins with <TYPE> or <TYPE NAME>",
        ),
        ("%frobnicate", "1: error: %frobnicate: it is no directive (%define, %include or %import)"),
        ("%define", "1: error: %define: its argument is missing"),
        (
            "%define a 1\n%define a 2",
            "2: error: %define: it has another value already (leave one %define out)",
        ),
        (
            "%define a-b 1",
            "1: error: %define: a name begins with a letter and goes on with letters, digits and _",
        ),
        ("user $", "1: error: user: a $ begins a name ($$ for a dollar sign)"),
        (
            "user $nobody",
            "1: error: $nobody is not defined (%define nobody VALUE, or $(NAME) for an environment "
            "variable that is set)",
        ),
        (
            "user $(ZMOUNT_NOT_SET)",
            "1: error: $ZMOUNT_NOT_SET is not defined (%define ZMOUNT_NOT_SET VALUE, or $(NAME) "
            "for an environment variable that is set)",
        ),
        ("user a\rb", "1: error: user: it holds a control character or the end of a line"),
        (
            "<instance a>\n<product-config b>\n0 1\n</product-config>\n</instance>",
            "3: error: 0: it is no key (a key begins with a letter and goes on with letters, "
            "digits, - . and _)",
        ),
        ("user a\x1bb", "1: error: user: it holds a control character or the end of a line"),
        (
            "%include nothing.conf",
            "1: error: %include nothing.conf: it cannot be read: No such file or directory",
        ),
        ("%include .", "1: error: %include .: it cannot be read: Is a directory"),
        ("%include /dev/zero", "1: error: %include /dev/zero: it is a device, not a file"),
        (
            "%include http://127.0.0.1:9/x",
            "1: error: %include http://127.0.0.1:9/x: it cannot be read: No such file or directory",
        ),
        (
            "%include package:os:x.conf",
            "1: error: %include package:os:x.conf: it cannot be read: No such file or directory",
        ),
        (
            "<instance a>\nsites b.org\n</instance>",
            "2: error: there is no site 'b.org' (<site b.org/>)",
        ),
        (
            "<zeo a>\nhost nowhere\n</zeo>",
            "2: error: there is no host 'nowhere' (<host nowhere>)",
        ),
        (
            "<zeo a/>\n<storage x>\nserver b\n</storage>",
            "3: error: no ZEO server 'b' (<zeo b>)",
        ),
        (
            "<instance a>\n<mount x>\ncache-size 1\n</mount>\n</instance>\n<zeo z/>\n<storage x/>",
            "2: error: instance a: <mount x> has no mount-point (mount-point /PATH, or "
            "/PATH:/PATH/IN/THE/STORAGE)",
        ),
        (
            "<log>\npath all.log\n</log>",
            "2: error: the settings of all logs have a path: they would all be one file (path "
            "none, or <log> in each <zeo> and <instance>)",
        ),
        (
            "<instance a>\nwithout pub/x\n</instance>",
            "2: error: instance a is without 'pub/x', which it does not mount anyway",
        ),
        (
            "<zeo z/>\n<storage x>\n<mappingstorage/>\n<filestorage/>\n</storage>",
            "4: error: <storage x> holds <mappingstorage> and <filestorage> (one storage section; "
            "wrap one in the other if that is meant)",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(write, text, expected):
    assert texts(write(text)) == [expected]


def test_all_mistakes_are_said_in_one_run(write):
    path = write(
        """
        directory
        manager initd
        usr zope
        <zeo zeo>
          adress 8100
          monitor-address 8099
          <ssl>
          </ssl>
        </zeo>
        <Site Example.org/>
        <instance pub>
          http-address here
          sites exmple.org
          threads many
          mount-point /
        </instance>
        """
    )
    assert [(finding.rule, finding.place.line) for finding in read(path)[1]] == [
        ("wrong-type", 2),
        ("wrong-type", 3),
        ("unknown", 4),
        ("unknown", 6),
        ("dead-option", 7),
        ("missing-key", 8),
        ("upper-case-name", 11),
        ("address", 13),
        ("unknown-site", 14),
        ("wrong-type", 15),
        ("unknown", 16),
    ]


def test_mistakes_and_doubts_are_said_together_in_the_order_of_the_file(write):
    path = write("<zeo zeo/>\n<storage a/>\nusr x\n<instance pub>\nthreads 9\n</instance>\n")
    assert [(one.rule, one.place.line) for one in check_file(path).findings] == [
        ("storage-unmounted", 2),
        ("unknown", 3),
        ("pool-smaller-than-threads", 5),
    ]


def test_what_follows_from_a_mistake_is_not_said_again(write):
    path = write("<zeo a/>\n<storage x>\nserver b\n</storage>\n<instance i>\nroot x\n</instance>\n")
    assert [one.rule for one in check_file(path).findings] == ["unknown-server"]


@pytest.mark.parametrize(
    "text",
    [
        "<zeo a/>\n%include none.conf\n",
        "%include none.conf\n<zeo a>\naddress $port\n</zeo>\n<storage s/>\n",
        "%include none.conf\n<zeo a/>\n<storage s/>\n<instance i>\nsites x\nroot y\n</instance>\n",
        "%include none.conf\n<zeo a>\nhost h\n</zeo>\n<storage s>\nserver b\n</storage>\n",
        "<zeo a>\n<ssl>\n%include none.conf\n</ssl>\n</zeo>\n<site s.org/>\n<instance i/>\n",
        "%include none.conf\n",
    ],
)
def test_what_an_unread_file_may_hold_is_not_missed(write, text):
    path = write(text)
    assert [one.rule for one in check_file(path).findings] == ["include"]
    assert [one.rule for one in read(path)[1]] == ["include"]


def test_beside_an_unread_file_other_mistakes_are_said(write):
    path = write("%include none.conf\n<zeo a>\naddress x:y\n</zeo>\nusr zope\n")
    assert [one.rule for one in check_file(path).findings] == ["include", "address", "unknown"]


def test_a_mistake_in_an_included_file_names_that_file(write, tmp_path):
    inner = write("\nusr zope\n", "inner.conf")
    path = write("<instance a>\n%include inner.conf\n</instance>\nuser\n")
    assert [str(finding.place) for finding in read(path)[1]] == [f"{path}:4", f"{inner}:2"]


def test_load_refuses_a_file_with_mistakes_and_says_them_all(write):
    with pytest.raises(TopologyError) as caught:
        load(write("usr a\nmanager b\n<zeo z/>\n"))
    assert len(str(caught.value).splitlines()) == 2
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("key", sorted(_DEAD))
@pytest.mark.parametrize(
    "text", ["{} x", "<zeo z>\n{} x\n</zeo>", "<instance i>\n{} x\n</instance>"]
)
def test_a_dead_option_is_named_with_what_lives_today(write, key, text):
    (finding,) = read(write(text.format(key)))[1]
    assert finding.rule == "dead-option"
    assert finding.what == f"{key} is gone"
    assert finding.why and finding.hint


@pytest.mark.parametrize("section", ["http-server", "clock-server", "cgi-environment", "logger"])
def test_a_dead_section_is_named_with_what_lives_today(write, section):
    (finding,) = read(write(f"<instance i>\n<{section}>\nx y\n</{section}>\n</instance>\n"))[1]
    assert (finding.rule, finding.what) == ("dead-option", f"<{section}> is gone")


def test_products_name_their_successor(write):
    (finding,) = read(write("<instance i>\nproducts /x\n</instance>\n"))[1]
    assert "product NAME" in finding.hint


# --- files that are none


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TopologyNotFound, match=r"nothing\.conf: there is no such file"):
        read(tmp_path / "nothing.conf")


def one_line(path) -> str:
    topology, (finding,) = read(path)
    assert topology is None
    assert str(finding).count("\n") == 0
    return finding.what


def test_a_directory_is_no_file(tmp_path):
    assert one_line(tmp_path) == "it cannot be read: Is a directory"


def test_a_device_is_no_file():
    assert one_line("/dev/zero") == "it is a device, not a file"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"caf\xe9\n", b"\x80" * 1000])
def test_a_file_in_another_encoding_is_refused(tmp_path, content):
    path = tmp_path / "zmount.conf"
    path.write_bytes(content)
    assert one_line(path).startswith("it is not UTF-8 text (byte ")


@pytest.mark.parametrize("closed", ["zmount.conf", "."])
def test_a_file_that_may_not_be_read_is_said_so(short_directory, closed):
    path = short_directory / "zmount.conf"
    path.write_text("user x\n")
    short_directory.chmod(0o755)
    (short_directory / closed).chmod(0)
    with as_nobody():
        assert one_line(path) == "it cannot be read: Permission denied"
    short_directory.chmod(0o755)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user who may not read everything, where the tests run as root."""
    read("/dev/null")  # what is read once only, read now
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_disk_that_fails_is_said_so():
    assert one_line("/proc/self/mem") == "it cannot be read: Input/output error"


@pytest.mark.parametrize(
    "content", ["lorem ipsum\n" * 1000, "\x00" * 10_000, '{"a": 1,\n' * 99, "\x1b[2J\n" * 50]
)
def test_a_file_of_garbage_is_one_line(tmp_path, content):
    path = tmp_path / "zmount.conf"
    path.write_text(content)
    _, findings = read(path)
    assert len(findings) == 1
    assert str(findings[0]).isprintable()


def test_a_zeo_conf_or_zope_conf_is_told_from_a_zmount_conf(tmp_path, write):
    path = write(
        """
        instancehome /srv/zope
        debug-mode off
        <zodb_db main>
          mount-point /
        </zodb_db>
        <zodb_db temporary>
          mount-point /temp
        </zodb_db>
        """
    )
    assert "zmount adopt" in str(read(path)[1][0])


def test_an_empty_file_describes_nothing(write):
    (finding,) = check_file(write("")).findings
    assert finding.what == "the file describes no ZEO server and no instance"


@pytest.mark.parametrize("name", ["zmount.conf", "./zmount.conf", "x/../zmount.conf"])
def test_a_file_that_includes_itself_is_said_so(write, name):
    path = write(f"<instance a/>\n%include {name}\n")
    assert texts(path) == [f"2: error: %include {name}: {path} includes itself"]


def test_files_that_include_each_other_are_said_so(write, tmp_path):
    write("%include zmount.conf\n", "other.conf")
    (text,) = texts(write("<instance a/>\n%include other.conf\n"))
    assert text.endswith(f"{tmp_path}/zmount.conf includes itself")


def test_files_that_include_each_other_twice_and_twice_again_come_to_an_end(write):
    for number in range(30):
        write(f"%include {number + 1}.conf\n" * 2, f"{number}.conf")
    write("", "30.conf")
    found = texts(write("<instance a/>\n%include 0.conf\n"))
    assert any("more than 1000 files are included" in text for text in found)


def test_sections_too_deep_inside_each_other_come_to_an_end(write):
    depth = 5000
    inside = "<demostorage>\n" * depth + "</demostorage>\n" * depth
    found = texts(write(f"<zeo z/>\n<storage x>\n{inside}</storage>\n"))
    assert "sections are too deep inside each other" in found[0]


def test_a_million_mistakes_come_to_an_end(write):
    found = texts(write("<instance a>\n" + "nonsense 1\n" * 5000 + "</instance>\n"))
    assert len(found) == 1001
    assert found[-1].endswith("there are too many mistakes (put these right first)")
