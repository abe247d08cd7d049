"""Rules about names."""

from __future__ import annotations

import pytest

UNSAFE = ["-rf", ".hidden", "..", "~x", "a:b", "a%b", "a'b", "a;b", "x" * 101]


@pytest.mark.parametrize("name", [*UNSAFE, "a/b", "größe"])
@pytest.mark.parametrize(
    "text",
    [
        "<host {}>\naddress x.example\n</host>\n<instance pub>\nhost {}\n</instance>",
        "<zeo {}>\ndirectory zeo\n</zeo>\n<storage x/>\n<instance pub>\nroot x\n</instance>",
        "<instance {}>\ndirectory pub\nroot x\n</instance>\n<zeo zeo/>\n<storage x/>",
    ],
    ids=["host", "zeo", "instance"],
)
def test_the_name_of_a_host_server_or_instance_must_do_as_a_file_name(finds, text, name):
    finds("directory /srv/zope\n" + text.replace("{}", name), ("name-unsafe", f"{name}>"))


@pytest.mark.parametrize("name", ["-rf", "a:b", "a/../../b", "a//b", "/a", "a/.b", "a;b"])
def test_the_name_of_a_storage_must_do_as_a_path(finds, name):
    finds(
        f"directory /srv/zope\n<zeo zeo/>\n<storage {name}>\npath x.fs\nblob-dir none\n</storage>\n"
        f"<instance pub>\nroot {name}\n</instance>\n",
        ("name-unsafe", f"<storage {name}>"),
    )


@pytest.mark.parametrize("name", ["main", "pub/x.org", "a/b/c-d_e+f@g~h,i", "größe"])
def test_an_ordinary_name_of_a_storage_is_clean(finds, name):
    finds(
        f"directory /srv/zope\n<zeo zeo/>\n<storage {name}/>\n"
        f"<instance pub>\nroot {name}\n</instance>\n"
    )


def test_a_storage_that_a_site_names_is_judged_too(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <site x.org>
          production pub x.org
          staging none
        </site>
        <instance pub/>
        """,
        ("name-unsafe", "production pub x.org"),
    )


@pytest.mark.parametrize("name", ["a/b", "a:b", "-x", "a%b"])
def test_the_name_of_a_site_must_do_as_a_file_name(finds, name):
    path = [] if "/" in name or name == "-x" else [("mount-point-path", f"<site {name}>")]
    finds(
        f"directory /srv/zope\n<zeo zeo/>\n<site {name}>\nproduction x\nstaging none\n</site>\n"
        "<instance pub/>\n",
        ("name-unsafe", f"<site {name}>"),
        *path,
    )


def test_a_storage_with_upper_case_letters_is_an_error(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <site x.org>
          production Pub/X
          staging none
        </site>
        <instance pub/>
        """,
        ("upper-case-name", "production Pub/X"),
    )


def test_a_section_with_upper_case_letters_is_an_error(finds):
    finds(
        "directory /srv/zope\n<zeo zeo/>\n<storage Main/>\n"
        "<instance pub>\nroot main\n</instance>\n",
        ("upper-case-name", "<storage Main/>"),
    )


def test_a_served_name_with_upper_case_letters_is_an_error(finds):
    finds(
        "directory /srv/zope\n<zeo zeo/>\n<storage main>\nserved-as Main\n</storage>\n"
        "<instance pub>\nroot main\n</instance>\n",
        ("upper-case-name", "served-as Main"),
    )


@pytest.mark.parametrize("name", ["all", "none"])
def test_a_site_cannot_be_called_what_means_something_else(finds, name):
    finds(
        f"directory /srv/zope\n<zeo zeo/>\n<site {name}>\nstaging none\n</site>\n<instance pub/>\n",
        ("name-reserved", f"<site {name}>"),
    )


def test_a_server_cannot_be_called_none(finds):
    finds(
        "directory /srv/zope\n<zeo none/>\n<storage x/>\n<instance pub>\nroot x\n</instance>\n",
        ("name-reserved", "<zeo none/>"),
    )


def test_a_server_and_an_instance_of_one_name_are_an_error(finds):
    finds(
        "directory /srv/zope\n<zeo main/>\n<storage x/>\n<instance main>\nroot x\n</instance>\n",
        ("process-name-twice", "<instance main>"),
    )


def test_an_instance_called_like_the_replica_of_another_is_an_error(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <storage x/>
        <instance pub>
          root x
          replicas 2
        </instance>
        <instance pub-2>
          http-address 8090
        </instance>
        """,
        ("process-name-twice", "<instance pub-2>"),
    )


def test_a_host_a_site_and_an_instance_of_one_name_are_clean(finds):
    finds(
        """
        directory /srv/zope
        <host pub/>
        <zeo zeo>
          address 127.0.0.1:8100
        </zeo>
        <site pub>
          staging none
        </site>
        <instance pub/>
        """
    )


def test_two_storages_served_under_one_name_are_an_error(finds):
    text = """
        directory /srv/zope
        <zeo zeo/>
        {zeo2}
        <storage one>
          server zeo
          served-as 1
        </storage>
        <storage two>
          server {server}
          served-as 1
        </storage>
        <instance pub>
          root one
          <mount two>
            mount-point /two
          </mount>
        </instance>
        """
    finds(text.format(zeo2="", server="zeo"), ("served-name-twice", "served-as 1"))
    finds(text.format(zeo2="<zeo other>\naddress 8101\n</zeo>", server="other"))
