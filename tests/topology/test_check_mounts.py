"""Rules about mounts, each with what breaks it and what does not."""

from __future__ import annotations

import pytest

HEAD = """
directory /srv/zope
<zeo zeo/>
<storage main/>
<storage other/>
"""


def mounts(*points: str) -> str:
    """One instance that mounts main at POINTS, and other at /other."""
    lines = "\n".join(f"mount-point {point}" for point in points)
    return f"""{HEAD}
<instance zope>
<mount main-database>
storage main
{lines}
</mount>
<mount other>
mount-point /other
</mount>
</instance>
"""


@pytest.mark.parametrize(
    ("point", "rule"),
    [
        ("/home/x/", "mount-point-slash"),
        ("/home/x:/data/x/", "mount-point-slash"),
        ("home/x", "mount-point-relative"),
        ("/home/x:data/x", "mount-point-relative"),
        ("/home/x:", "mount-point-relative"),
        ("/home/../x", "mount-point-path"),
        ("/home/./x", "mount-point-path"),
        ("/home//x", "mount-point-path"),
        ("//x", "mount-point-path"),
        ("/home/x?y", "mount-point-path"),
        ("/home/x#y", "mount-point-path"),
        ("/home/<x>", "mount-point-path"),
        ("/home/_x", "mount-point-path"),
        ("/home/x__", "mount-point-path"),
        ("/home/aq_parent", "mount-point-path"),
        ("/home/@@x", "mount-point-path"),
        ("/home/REQUEST", "mount-point-path"),
        ("/home/x:/data/_private/x", "mount-point-path"),
        ("/home/x:/data/y:/z", "mount-point-path"),
        ("/home/x:/site", "mount-point-names-differ"),
        ("/x:/y", "mount-point-names-differ"),
        ("/home/x:/", "mount-point-real-root"),
        ("/v:~root:/v", "mount-point-tilde"),
        ("/v:~/v", "mount-point-tilde"),
    ],
)
def test_a_mount_point_that_zope_misreads_is_an_error(finds, point, rule):
    finds(mounts(point), (rule, f"mount-point {point}"))


@pytest.mark.parametrize(
    "point",
    [
        "/x",
        "/home/x",
        "/home/x.org:/data/deep/x.org",
        "/pub/x:/home/x",
        "/temp_folder:~temp/temp_folder",
        "/temp_folder:~temp/",
        "/home/Mixed Case-1~x",
        "/home/größe",
    ],
)
def test_a_mount_point_that_zope_reads_well_is_clean(finds, point):
    finds(mounts(point))


def test_several_mount_points_in_one_mount_are_clean(finds):
    finds(mounts("/a", "/deep/b", "/c:/home/c"))


@pytest.mark.parametrize("point", ["/:/data", "/:~other/"])
def test_the_root_has_no_real_path(finds, point):
    finds(
        f"{HEAD}<instance zope>\n<mount root>\nstorage main\nmount-point {point}\n</mount>\n"
        "<mount other>\nmount-point /other\n</mount>\n</instance>\n",
        ("root-real-path", "mount-point /"),
    )


def test_one_path_in_two_databases_is_an_error(finds):
    finds(mounts("/home/x", "/other"), ("mount-point-twice", "mount-point /other"))


def test_one_path_twice_in_one_database_is_an_error(finds):
    finds(mounts("/home/x", "/home/x"), ("mount-point-twice", "mount-point /home/x"))


def test_a_mount_that_takes_the_path_of_an_implied_one_is_an_error(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <storage other/>
        <site x.org>
          staging none
        </site>
        <instance pub>
          <mount other>
            mount-point /home/x.org
          </mount>
        </instance>
        """,
        ("mount-point-twice", "mount-point /home/x.org"),
    )


def test_two_databases_on_one_zeo_storage_are_an_error(finds):
    finds(
        f"""{HEAD}
<instance zope>
<mount one>
storage main
mount-point /one
</mount>
<mount two>
storage main
mount-point /two
</mount>
<mount other>
mount-point /other
</mount>
</instance>
""",
        ("storage-mounted-twice", "<mount two>"),
    )


def test_two_instances_on_one_zeo_storage_are_clean(finds):
    finds(
        f"""{HEAD}
<instance one>
http-address 8081
<mount shared>
storage main
mount-point /main
</mount>
</instance>
<instance two>
http-address 8082
<mount shared>
storage main
mount-point /main
</mount>
<mount other>
mount-point /other
</mount>
</instance>
"""
    )


def test_a_mount_on_a_storage_that_no_server_serves_is_an_error(finds):
    finds(
        mounts("/x").replace("storage main\n", "storage mian\n"),
        ("unknown-storage", "storage mian"),
        ("storage-unmounted", "<storage main/>"),
    )


CATALOG = """
directory /srv/zope
<zeo zeo/>
<storage catalog/x.org/>
<storage stage-catalog/x.org/>
<site x.org/>
<instance pub>
  <mount catalog/x.org>
    mount-point /home/x.org/portal_catalog
  </mount>
</instance>
<instance dev>
  kind development
  http-address 8081
  {without}
  <mount {catalog}>
    mount-point /home/x.org/portal_catalog
  </mount>
</instance>
"""


def test_a_mount_inside_a_storage_that_others_see_with_another_one_inside_is_an_error(finds):
    """dev's /pub/x.org would show production's content with staging's catalog."""
    finds(
        CATALOG.format(without="", catalog="stage-catalog/x.org"),
        ("mount-inside-mount", "<mount catalog/x.org>"),
    )


def test_a_mount_inside_a_storage_that_others_see_without_one_is_an_error(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <storage catalog/>
        <site x.org>
          staging none
        </site>
        <instance pub>
          <mount catalog>
            mount-point /home/x.org/catalog
          </mount>
        </instance>
        <instance dev>
          kind development
          http-address 8081
        </instance>
        """,
        ("mount-inside-mount", "<mount catalog>"),
    )


def test_a_mount_inside_a_storage_that_everybody_sees_alike_is_clean(finds):
    finds(CATALOG.format(without="without pub/x.org", catalog="stage-catalog/x.org"))


def test_a_mount_where_zope_has_an_object_of_its_own_is_doubtful(finds):
    finds(mounts("/acl_users"), ("mount-point-taken", "mount-point /acl_users"))


@pytest.mark.parametrize("path", ["/other", "/other/dev"])
def test_sandboxes_in_a_mount_are_an_error(finds, path):
    text = mounts("/x").replace("<instance zope>\n", f"<instance zope>\nsandboxes {path}\n")
    finds(text, ("sandboxes-mounted", "sandboxes"))


@pytest.mark.parametrize("path", ["dev", "/", "/dev/../x", "/_dev", "/dev/"])
def test_sandboxes_need_a_path_that_zope_can_have(finds, path):
    text = mounts("/x").replace("<instance zope>\n", f"<instance zope>\nsandboxes {path}\n")
    finds(text, ("sandboxes-path", "sandboxes"))


def test_sandboxes_beside_the_mounts_are_clean(finds):
    finds(mounts("/x").replace("<instance zope>\n", "<instance zope>\nsandboxes /others/dev\n"))


@pytest.mark.parametrize("name", ["a/b", "_sessions", "a?b", "with__"])
def test_a_session_container_needs_an_id_that_zope_takes(finds, name):
    finds(
        f"directory /srv/zope\n<zeo zeo/>\n<session>\ncontainer {name}\n</session>\n"
        "<instance pub/>\n",
        ("session-container", "container"),
    )


ROOT_AND_MAIN = """
directory /srv/zope
<zeo zeo/>
<site a.org>
  production main
  staging none
</site>
<instance pub>
{more}
</instance>
"""


def test_a_storage_called_main_and_the_root_are_two_databases_of_one_name(finds):
    finds(ROOT_AND_MAIN.format(more=""), ("database-name-twice", "<site a.org>"))


def test_the_root_can_have_another_name_than_main(finds):
    finds(ROOT_AND_MAIN.format(more="<mount root>\nmount-point /\n</mount>"))


def test_two_databases_cannot_be_given_one_name(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <storage a/>
        <storage b/>
        <instance pub>
        <mount a>
        mount-point /a
        </mount>
        <mount b>
        mount-point /b
        database-name a
        </mount>
        </instance>
        """,
        ("database-name-twice", "database-name a"),
    )
