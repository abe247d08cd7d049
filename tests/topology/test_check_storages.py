"""Rules about storages and sites."""

from __future__ import annotations

import pytest


def test_a_root_filestorage_of_several_processes_is_an_error(finds):
    finds(
        "directory /srv/zope\n<instance pub>\nreplicas 2\n</instance>\n",
        ("storage-many-processes", "<instance pub>"),
    )


def test_a_root_filestorage_on_several_hosts_is_an_error(finds):
    finds(
        "directory /srv/zope\n<host a/>\n<host b/>\n<instance pub>\nhost a b\n</instance>\n",
        ("storage-many-processes", "<instance pub>"),
    )


def test_a_root_on_zeo_may_have_several_processes(finds):
    finds(
        "directory /srv/zope\n<zeo zeo/>\n<storage root/>\n"
        "<instance pub>\nroot root\nreplicas 2\n</instance>\n"
    )


def test_a_mounted_filestorage_of_several_processes_is_an_error(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <storage root/>
        <storage own>
          server none
        </storage>
        <instance pub>
          root root
          replicas 2
          <mount own>
            mount-point /own
          </mount>
        </instance>
        """,
        ("storage-many-processes", "<mount own>"),
    )


OPENED = """
directory /srv/zope
<storage {name}>
{storage}
</storage>
<instance one>
http-address 8081
<mount {name}>
mount-point /x
</mount>
</instance>
<instance two>
http-address 8082
<mount {name}>
mount-point /x
</mount>
</instance>
"""


def test_one_filestorage_opened_by_two_instances_is_an_error(finds):
    finds(
        OPENED.format(name="shared", storage="path x.fs"),
        ("storage-opened-twice", "<mount shared>"),
    )


@pytest.mark.parametrize(
    "storage",
    [
        "read-only on",
        "references none\n<relstorage>\n<postgresql>\ndsn x\n</postgresql>\n</relstorage>",
    ],
)
def test_one_storage_that_several_may_open_is_clean(finds, storage):
    finds(OPENED.format(name="shared", storage=storage))


def test_two_sites_without_a_zeo_server_are_told_what_is_missing(finds):
    finds(
        """
        directory /srv/zope
        <site x.org/>
        <instance dev>
          kind development
          http-address 8081
        </instance>
        <instance pub/>
        """,
        ("storage-opened-twice", "<site x.org/>"),
        ("staging-no-stage", "<site x.org/>"),
    )


def test_a_file_on_another_host_is_an_error(finds):
    text = """
        directory /srv/zope
        <host a/>
        <host b/>
        <storage own>
          server none
          host {}
        </storage>
        <instance one>
          host a
          <mount own>
            mount-point /own
          </mount>
        </instance>
        <instance two>
          host b
        </instance>
        """
    finds(text.format("b"), ("storage-elsewhere", "<mount own>"))
    finds(text.format("a"))


def test_a_zeo_server_without_storages_is_an_error(finds):
    finds("directory /srv/zope\n<zeo zeo/>\n", ("server-without-storages", "<zeo zeo/>"))


def test_a_zeo_server_alone_is_clean(finds):
    """Its clients may be described elsewhere."""
    finds("directory /srv/zope\n<zeo zeo/>\n<storage main/>\n<site x.org/>\n")


def test_a_storage_that_no_instance_mounts_is_doubtful(finds):
    finds(
        "directory /srv/zope\n<zeo zeo/>\n<storage main/>\n<instance pub/>\n",
        ("storage-unmounted", "<storage main/>"),
    )


def test_a_root_that_its_instance_does_not_have_is_doubtful(finds):
    finds(
        "directory /srv/zope\n<zeo zeo/>\n<storage main/>\n<storage root/pub/>\n"
        "<instance pub>\nroot main\n</instance>\n",
        ("storage-unmounted", "<storage root/pub/>"),
    )


def test_a_site_that_no_instance_mounts_is_doubtful_once(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <site x.org/>
        <site y.org/>
        <instance dev>
          kind development
          sites y.org
        </instance>
        """,
        ("site-unmounted", "<site x.org/>"),
    )


def test_the_staging_of_one_site_that_no_instance_mounts_is_doubtful(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <site x.org/>
        <site y.org/>
        <instance dev>
          kind development
          without stage/x.org
        </instance>
        """,
        ("staging-unmounted", "<site x.org/>"),
    )


def test_staging_without_a_development_instance_is_doubtful_once(finds):
    sites = "".join(f"<site s{number}.org/>\n" for number in range(100))
    finds(
        "directory /srv/zope\n<zeo zeo/>\n" + sites + "<instance pub/>\n",
        ("staging-unmounted", "<site s0.org/>"),
    )


def test_sites_without_staging_and_development_are_clean(finds):
    finds("directory /srv/zope\n<zeo zeo/>\n<site x.org>\nstaging none\n</site>\n<instance pub/>\n")


def test_sessions_without_a_public_instance_are_doubtful(finds):
    text = "directory /srv/zope\n<zeo zeo/>\n<session/>\n<instance one>\nkind {}\n</instance>\n"
    finds(text.format("development"), ("session-unmounted", "<session/>"))
    finds(text.format("public"))


def test_staging_that_is_production_is_an_error(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <site x.org>
          staging pub/x.org
        </site>
        <instance pub/>
        """,
        ("staging-is-production", "staging pub/x.org"),
    )


def test_two_sites_in_one_storage_are_an_error(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <site x.org>
          staging none
        </site>
        <site y.org>
          production pub/x.org
          staging none
        </site>
        <instance pub/>
        """,
        ("storage-of-two-sites", "production pub/x.org"),
    )


def test_sessions_in_a_sites_storage_are_an_error(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <site x.org>
          staging none
        </site>
        <session>
          storage pub/x.org
        </session>
        <instance pub>
          without pub/x.org
          <mount x>
            storage pub/x.org
            mount-point /home/x.org
          </mount>
        </instance>
        """,
        ("session-in-site", "storage pub/x.org"),
    )


def create(section: str) -> str:
    return (
        f"directory /srv/zope\n<zeo zeo/>\n<site x.org>\nstaging none\n</site>\n"
        f"<storage {section}>\ncreate true\n</storage>\n"
        "<instance pub>\nroot main\n</instance>\n"
        + ("" if section == "main" else "<storage main/>\n")
    )


def test_a_storage_that_is_emptied_at_every_start_is_found(finds):
    finds(create("main"), ("storage-emptied", "create true"))
    finds(create("pub/x.org"), ("storage-emptied", "create true"))
    finds(create("main").replace("create true", "create false"))


def test_emptying_production_is_an_error_and_not_only_doubtful(write):
    from zmount.operations.check import check_file

    assert check_file(write(create("main"))).exit_status == 1
    assert check_file(write(create("pub/x.org"))).exit_status == 2


@pytest.mark.parametrize("key", ["path x.fs", "quota 1GB", "blob-dir none"])
def test_a_key_that_the_section_inside_makes_useless_is_doubtful(finds, key):
    finds(
        f"directory /srv/zope\n<zeo zeo/>\n<storage main>\n{key}\n<mappingstorage/>\n</storage>\n"
        "<instance pub>\nroot main\n</instance>\n",
        ("storage-key-ignored", key),
    )


def test_a_host_for_a_storage_that_is_served_is_doubtful(finds):
    finds(
        """
        directory /srv/zope
        <host a/>
        <host b/>
        <zeo zeo>
          address 127.0.0.1:8100
        </zeo>
        <storage main>
          host b
        </storage>
        <instance pub>
          root main
        </instance>
        <instance two>
          host b
        </instance>
        """,
        ("storage-key-ignored", "host b"),
    )


def test_a_demostorage_behind_zeo_is_doubtful(finds):
    text = """
        directory /srv/zope
        <zeo zeo/>
        <storage other/>
        <storage demo>
          {}
          <demostorage>
            <filestorage base>
              path base.fs
            </filestorage>
            <mappingstorage changes/>
          </demostorage>
        </storage>
        <instance pub>
          root demo
          <mount other>
            mount-point /other
          </mount>
        </instance>
        """
    finds(text.format(""), ("demostorage-behind-zeo", "<demostorage>"))
    finds(text.format("server none"))
