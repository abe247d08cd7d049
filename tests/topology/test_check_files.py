"""Rules about files and directories that can have one user only."""

from __future__ import annotations

import pytest

SERVED = """
directory /srv/zope
<zeo zeo/>
<storage one>
  {one}
</storage>
<storage two>
  {two}
</storage>
<instance zope>
  <mount one>
    mount-point /one
    {client}
  </mount>
  <mount two>
    mount-point /two
    {client}
  </mount>
</instance>
"""


def storages(one: str = "", two: str = "", client: str = "") -> str:
    return SERVED.format(one=one, two=two, client=client)


def client(*lines: str) -> str:
    return "\n".join(["<client>", *lines, "</client>"])


def test_storages_with_files_of_their_own_are_clean(finds):
    finds(storages())


def test_two_storages_on_one_data_fs_are_an_error(finds):
    finds(
        storages("path a/Data.fs\nblob-dir b1", "path a/Data.fs\nblob-dir b2"),
        ("data-fs-twice", "path a/Data.fs"),
    )


def test_one_data_fs_written_in_two_ways_is_still_one(finds):
    finds(
        storages("path a/Data.fs\nblob-dir b1", "path /srv/zope/x/../a/Data.fs\nblob-dir b2"),
        ("data-fs-twice", "path /srv/zope/x/../a/Data.fs"),
    )


def test_two_storages_on_one_blob_directory_are_an_error(finds):
    finds(storages("blob-dir blobs", "blob-dir blobs"), ("blob-dir-twice", "blob-dir blobs"))


def test_storages_that_only_read_may_share_their_files(finds):
    finds(
        storages(
            "path a/Data.fs\nblob-dir b\nread-only true", "path a/Data.fs\nblob-dir b\nread-only on"
        )
    )


def test_one_data_fs_inside_two_wrapped_storages_is_an_error(finds):
    wrapped = "<zlibstorage>\n<filestorage>\npath a/Data.fs\n</filestorage>\n</zlibstorage>"
    finds(storages(wrapped, "path a/Data.fs"), ("data-fs-twice", "path a/Data.fs"))


def test_a_filestorage_that_is_also_served_by_zeo_is_an_error(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <storage served>
          path var/Data.fs
        </storage>
        <storage opened>
          server none
          path var/Data.fs
          blob-dir none
        </storage>
        <instance zope>
          <mount served>
            mount-point /served
          </mount>
          <mount opened>
            mount-point /opened
          </mount>
        </instance>
        """,
        ("data-fs-twice", "path var/Data.fs"),
    )


def test_the_root_of_an_instance_is_no_storage_of_a_server_too(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <storage served>
          path zope_client/var/Data.fs
          blob-dir blobs
        </storage>
        <instance zope>
          <mount served>
            mount-point /served
          </mount>
        </instance>
        """,
        ("data-fs-twice", "<instance zope>"),
    )


def test_one_data_fs_on_two_hosts_is_two_files(finds):
    finds(
        """
        directory /srv/zope
        <host a/>
        <host b/>
        <instance one>
          host a
          directory zope
        </instance>
        <instance two>
          host b
          directory zope
        </instance>
        """
    )


def test_two_hosts_of_one_address_are_one_machine(finds):
    finds(
        """
        directory /srv/zope
        <host a>
          address 10.0.0.1
        </host>
        <host b>
          address 10.0.0.1
        </host>
        <instance one>
          host a
          directory zope
          http-address 8081
        </instance>
        <instance two>
          host b
          directory zope
          http-address 8082
        </instance>
        """,
        ("directory-twice", "directory zope"),
    )


def test_two_processes_in_one_directory_are_one_error_and_not_ten(finds):
    finds(
        """
        directory /srv/zope
        <instance one>
          directory zope
          http-address 8081
        </instance>
        <instance two>
          directory zope
          http-address 8082
        </instance>
        """,
        ("directory-twice", "directory zope"),
    )


def test_a_directory_inside_of_another_is_clean(finds):
    finds(storages().replace("<instance zope>", "<instance zope>\ndirectory zeo/zope"))


@pytest.mark.parametrize(
    "lines",
    [("cache-path /var/cache/zeo.zec",), ("client zope", "var /var/cache", "name %s")],
)
def test_two_clients_with_one_cache_file_are_an_error(finds, lines):
    rule = "client-cache-twice"
    text = """
        directory /srv/zope
        <zeo zeo/>
        <storage root/>
        <instance zope>
          replicas 2
          root root
          <client>
            {}
          </client>
        </instance>
        """.format("\n".join(lines))
    finds(text, (rule, lines[0]))


def test_each_replica_has_a_cache_file_of_its_own_in_its_directory(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <storage root/>
        <instance zope>
          replicas 2
          root root
          <client>
            cache-path var/%s.zec
          </client>
        </instance>
        """
    )


def test_two_storages_in_one_blob_cache_are_an_error(finds):
    finds(storages(client=client("blob-dir cache")), ("blob-cache-twice", "blob-dir cache"))


def test_a_blob_cache_for_each_storage_is_clean(finds):
    finds(storages(client=client("blob-dir cache/%s")))


def test_two_clients_of_one_storage_may_have_one_blob_cache(finds):
    """ZEO locks each blob's file, so that processes of one machine can share them."""
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <storage root/>
        <instance zope>
          replicas 2
          root root
          <client>
            blob-dir /var/cache/blobs
          </client>
        </instance>
        """
    )


def test_a_blob_cache_in_the_servers_blob_directory_is_an_error(finds):
    finds(
        storages("blob-dir blobs/%s", "blob-dir none", client("blob-dir /srv/zope/blobs/%s"))
        .replace("blob-dir blobs/%s", "blob-dir blobs/one")
        .replace("<mount two>\n", "<mount two>\n"),
        ("blob-cache-is-blob-dir", "blob-dir /srv/zope/blobs/%s"),
    )


def test_the_servers_blob_directory_can_be_shared_on_purpose(finds):
    finds(storages(client=client("shared-blob-dir on")))


def test_a_shared_blob_directory_elsewhere_is_an_error(finds):
    finds(
        storages(two="blob-dir none", client=client("shared-blob-dir on", "blob-dir /elsewhere")),
        ("shared-blob-dir-elsewhere", "blob-dir /elsewhere"),
    )


def test_a_blob_directory_inside_of_another_is_doubtful(finds):
    finds(
        storages("blob-dir blobs", "blob-dir blobs/two"),
        ("inside-blob-dir", "blob-dir blobs/two"),
    )


def test_a_data_fs_inside_its_own_blob_directory_is_doubtful(finds):
    finds(
        storages("path var/one/Data.fs\nblob-dir var"),
        ("inside-blob-dir", "path var/one/Data.fs"),
        ("inside-blob-dir", "<storage two>"),
        ("inside-blob-dir", "<storage two>"),
    )


@pytest.mark.parametrize("key", ["path ../../etc/Data.fs", "blob-dir var/../../blobs"])
def test_a_path_that_leaves_the_directory_is_an_error(finds, key):
    finds(storages(key), ("path-escapes", key))


@pytest.mark.parametrize(
    "key", ["path var/../data/Data.fs", "path /mnt/disk2/one/Data.fs", "blob-dir /mnt/..blobs"]
)
def test_a_path_that_stays_or_is_said_in_full_is_clean(finds, key):
    finds(storages(key))


@pytest.mark.parametrize("line", ["directory ../elsewhere", "pid-filename ../../zeo.pid"])
def test_a_process_does_not_leave_the_directory_either(finds, line):
    text = storages().replace("<zeo zeo/>", f"<zeo zeo>\n{line}\n</zeo>")
    finds(text, ("path-escapes", line))


def test_two_processes_with_one_pid_file_are_an_error(finds):
    finds(
        """
        directory /srv/zope
        <instance one>
          pid-filename /run/zope.pid
          http-address 8081
        </instance>
        <instance two>
          pid-filename /run/zope.pid
          http-address 8082
        </instance>
        """,
        ("pid-file-twice", "pid-filename"),
    )


def test_two_processes_with_one_log_are_doubtful(finds):
    finds(
        """
        directory /srv/zope
        <instance one>
          http-address 8081
          <log>
            path /var/log/zope.log
          </log>
        </instance>
        <instance two>
          http-address 8082
          <log>
            path /var/log/zope.log
          </log>
        </instance>
        """,
        ("log-twice", "<log>"),
    )


def test_two_processes_with_one_zdaemon_socket_are_an_error(finds):
    text = """
        directory /srv/zope
        {}
        <runner>
          socket-name /run/zdsock
        </runner>
        <instance one>
          http-address 8081
        </instance>
        <instance two>
          http-address 8082
        </instance>
        """
    finds(text.format(""), ("socket-twice", "<instance two>"))
    finds(text.format("manager systemd\nuser zope"))


def test_a_file_for_two_purposes_is_an_error(finds):
    finds(
        """
        directory /srv/zope
        <instance one>
          pid-filename log/event.log
        </instance>
        """,
        ("path-twice", "<instance one>"),
    )


def test_blanks_in_a_path_are_an_error_where_zdaemon_splits_at_them(finds):
    text = """
        directory /srv/zope
        venv /srv/my venv
        {}
        <instance one/>
        """
    finds(text.format(""), ("blank-in-path", "<instance one/>"))
    finds(text.format("manager systemd\nuser zope"))


def test_a_data_fs_opened_by_a_section_for_zope_conf_is_not_served_too(finds):
    extra = """<zope-conf>
      <zodb_db extra>
        mount-point /extra
        <filestorage>
          path /srv/zope/var/one/Data.fs
        </filestorage>
      </zodb_db>
    </zope-conf>"""

    finds(
        storages().replace("<instance zope>", f"<instance zope>\n{extra}"),
        ("data-fs-twice", "<filestorage>"),
    )
