"""What is implied can be said, overridden, extended and left out."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from zmount.errors import TopologyError
from zmount.topology.load import load
from zmount.topology.said import Extra

TWO_SITES = """
directory /srv/zope
<zeo zeo/>
<site a.org/>
<site b.org/>
"""


def storages_of(instance) -> list[str]:
    return [mount.storage.name for mount in instance.mounts]


def mount_of(instance, name: str):
    return next(mount for mount in instance.mounts if mount.name == name)


def test_a_storage_section_changes_what_a_site_implies(topology):
    site = topology(
        f"{TWO_SITES}<storage pub/a.org>\npath /mnt/a.fs\nblob-dir none\nquota 1GB\n"
        "pack-days 7\npack-gc false\n</storage>\n"
    ).site("a.org")
    assert site.production.data_fs == PurePosixPath("/mnt/a.fs")
    assert site.production.blob_dir is None
    assert site.production.options.text("quota") == "1GB"
    assert (site.production.pack.days, site.production.pack.gc) == (7.0, False)
    assert not site.production.is_implied
    assert site.production.role == "production"
    assert site.staging.is_implied


def test_a_site_can_name_its_storages_and_its_place(topology):
    site = topology(
        """
        directory /srv/zope
        <zeo zeo/>
        <site a.org>
          production live/a
          staging none
          container /sites
          container-class Products.CMFPlone.Portal.PloneSite
        </site>
        <instance pub/>
        """
    )
    (mount,) = site.instance("pub").mounts[1:]
    assert site.site("a.org").staging is None
    assert mount.storage.name == "live/a"
    assert str(mount.points[0]) == "/sites/a.org"
    assert mount.container_class == "Products.CMFPlone.Portal.PloneSite"


def test_an_instance_can_choose_sites(topology):
    text = TWO_SITES + "<instance pub>\nsites {}\n</instance>\n"
    assert storages_of(topology(text.format("b.org")).instance("pub"))[1:] == ["pub/b.org"]
    assert storages_of(topology(text.format("none")).instance("pub"))[1:] == []
    both = ["pub/a.org", "pub/b.org"]
    assert storages_of(topology(text.format("all")).instance("pub"))[1:] == both
    both.reverse()
    assert storages_of(topology(text.format("b.org a.org")).instance("pub"))[1:] == both


def test_an_instance_can_be_without_a_storage(topology):
    dev = topology(
        TWO_SITES + "<instance dev>\nkind development\nwithout pub/a.org stage/b.org\n</instance>\n"
    ).instance("dev")
    assert storages_of(dev)[1:] == ["stage/a.org", "pub/b.org"]


def test_admin_mounts_the_sites_that_it_names(topology):
    admin = topology(TWO_SITES + "<instance adm>\nkind admin\nsites a.org\n</instance>\n")
    mount = mount_of(admin.instance("adm"), "pub/a.org")
    assert str(mount.points[0]) == "/home/a.org"


def test_a_mount_section_changes_an_implied_mount_and_keeps_the_rest(topology):
    pub = topology(
        f"{TWO_SITES}<instance pub>\n<mount pub/a.org>\ncache-size 77\n</mount>\n</instance>\n"
    ).instance("pub")
    mount = mount_of(pub, "pub/a.org")
    assert mount.database.text("cache-size") == "77"
    assert str(mount.points[0]) == "/home/a.org"
    assert not mount.is_implied
    assert mount_of(pub, "pub/b.org").is_implied


def test_a_mount_section_can_say_another_path_and_storage(topology):
    pub = topology(
        f"{TWO_SITES}<storage copy/>\n<instance pub>\n<mount pub/a.org>\nstorage copy\n"
        "mount-point /elsewhere/a.org:/home/a.org\n</mount>\n</instance>\n"
    ).instance("pub")
    mount = mount_of(pub, "pub/a.org")
    assert mount.storage.name == "copy"
    assert str(mount.points[0]) == "/elsewhere/a.org:/home/a.org"


def test_a_deployment_without_sites_is_as_easy(topology):
    plain = topology(
        """
        directory /srv/zope
        <zeo zeo/>
        <storage articles/>
        <instance zope>
          <mount articles>
            mount-point /articles
            mount-point /old/articles:/articles
          </mount>
        </instance>
        """
    )
    mount = mount_of(plain.instance("zope"), "articles")
    assert [str(point) for point in mount.points] == ["/articles", "/old/articles:/articles"]
    assert mount.storage.role == "plain"


@pytest.mark.parametrize(
    "said",
    [
        "root content",
        "<mount main>\nstorage content\n</mount>",
        "<mount any>\nstorage content\nmount-point /\n</mount>",
        "<mount content>\nmount-point /\n</mount>",
    ],
)
def test_the_root_can_be_any_storage(topology, said):
    zope = topology(
        f"directory /srv/zope\n<zeo zeo/>\n<storage content/>\n<instance zope>\n{said}\n</instance>"
    ).instance("zope")
    assert zope.root.storage.name == "content"
    assert [str(point) for point in zope.root.points] == ["/"]
    assert len(zope.mounts) == 1


def test_what_is_nearer_to_a_mount_wins(topology):
    zope = topology(
        """
        directory /srv/zope
        <zeo zeo/>
        <storage x/>
        <storage y/>
        <database>
          cache-size 1
          pool-size 10
        </database>
        <client>
          cache-size 1MB
          wait-timeout 1
        </client>
        <instance zope>
          <database>
            cache-size 2
          </database>
          <client>
            cache-size 2MB
          </client>
          <mount x>
            mount-point /x
            cache-size 3
            <client>
              cache-size 3MB
            </client>
          </mount>
          <mount y>
            mount-point /y
          </mount>
        </instance>
        """
    ).instance("zope")
    x, y = mount_of(zope, "x"), mount_of(zope, "y")
    assert (x.database.text("cache-size"), y.database.text("cache-size")) == ("3", "2")
    assert (x.client.text("cache-size"), y.client.text("cache-size")) == ("3MB", "2MB")
    assert x.database.text("pool-size") == "10"
    assert x.client.text("wait-timeout") == "1"
    assert x.place.of("wait-timeout").line < zope.place.line < x.place.of("pool-timeout").line


def test_replicas_have_names_ports_and_directories_of_their_own(topology):
    pub = topology(
        "directory /srv/zope\n<zeo zeo/>\n<storage r/>\n<instance pub>\nroot r\nreplicas 3\n"
        "http-address 127.0.0.1:8090\n</instance>\n"
    ).instance("pub")
    assert [replica.name for replica in pub.replicas] == ["pub-1", "pub-2", "pub-3"]
    assert [replica.http_address.port for replica in pub.replicas] == [8090, 8091, 8092]
    assert [str(replica.directory) for replica in pub.replicas] == [
        "/srv/zope/pub_client",
        "/srv/zope/pub_client-2",
        "/srv/zope/pub_client-3",
    ]


def test_replicas_on_several_hosts_live_where_each_host_has_its_deployment(topology):
    pub = topology(
        """
        <host a>
          address 10.0.0.1
          directory /srv/a
        </host>
        <host b>
          address 10.0.0.2
          directory /srv/b
        </host>
        <zeo zeo/>
        <storage r/>
        <instance pub>
          root r
          host a b
          replicas 2
        </instance>
        """
    ).instance("pub")
    assert [(one.name, one.host.name, str(one.http_address)) for one in pub.replicas] == [
        ("pub-1", "a", "10.0.0.1:8080"),
        ("pub-2", "a", "10.0.0.1:8081"),
        ("pub-3", "b", "10.0.0.2:8080"),
        ("pub-4", "b", "10.0.0.2:8081"),
    ]
    assert [str(one.directory) for one in pub.replicas] == [
        "/srv/a/pub_client",
        "/srv/a/pub_client-2",
        "/srv/b/pub_client",
        "/srv/b/pub_client-2",
    ]


def test_an_instance_with_one_process_keeps_its_name(topology):
    pub = topology("<instance pub/>\n").instance("pub")
    assert [replica.name for replica in pub.replicas] == ["pub"]


def test_a_storage_of_any_imported_type_is_kept_as_it_is_written(topology):
    storage = topology(
        """
        %import zc.zlibstorage
        directory /srv/zope
        <zeo zeo/>
        <storage x>
          <ZlibStorage>
            compress true
            <filestorage Inner>
              path Var/X.fs
              Some-Key A  b
            </filestorage>
          </ZlibStorage>
        </storage>
        """
    ).storage("x")
    assert storage.imports == ("zc.zlibstorage",)
    assert storage.backend.type == "zlibstorage"
    (inner,) = storage.backend.sections
    assert dict(inner.keys) == {"path": "Var/X.fs", "Some-Key": "A  b"}
    assert storage.data_fs == PurePosixPath("/srv/zope/Var/X.fs")


def test_the_command_line_mounts_sites_and_their_storages(write):
    path = write(f"{TWO_SITES}<instance adm>\nkind admin\n</instance>\n<instance pub/>\n")
    extra = Extra(instance="adm", mounts=("a.org", "stage/b.org"), root="pub/b.org")
    adm = load(path, extra=extra).instance("adm")
    assert [(str(one.points[0]), one.storage.name) for one in adm.mounts] == [
        ("/", "pub/b.org"),
        ("/home/a.org", "pub/a.org"),
        ("/stage/b.org:/home/b.org", "stage/b.org"),
    ]
    assert storages_of(load(path, extra=extra).instance("pub")) == storages_of(
        load(path).instance("pub")
    )


def test_the_command_line_cannot_mount_what_is_not_there(write):
    path = write(f"{TWO_SITES}<instance adm>\nkind admin\n</instance>\n")
    with pytest.raises(TopologyError, match=r"cannot mount 'a.ogr'.*did you mean a.org"):
        load(path, extra=Extra(instance="adm", mounts=("a.ogr",)))


def test_storages_of_several_servers_say_which(topology):
    text = "directory /srv\n<zeo one/>\n<zeo two>\naddress 8101\n</zeo>\n<site a.org>\n{}</site>\n"
    assert topology(text.format("server two\n")).site("a.org").production.server.name == "two"
    with pytest.raises(TopologyError, match="which of the ZEO servers"):
        topology(text.format(""))


def test_every_key_of_the_instance_reaches_it_as_it_was_written(topology):
    zope = topology(
        """
        <instance zope>
          max-conflict-retries 7
          trusted-proxy 10.0.0.1
          trusted-proxy 10.0.0.2
          <waitress>
            Channel-Timeout 5
          </waitress>
          <environment>
            MixedCase Value
          </environment>
          <product-config mailer>
            Server smtp
          </product-config>
          <dos-protection>
            form-disk-limit 5GB
          </dos-protection>
        </instance>
        """
    ).instance("zope")
    assert zope.zope.text("max-conflict-retries") == "7"
    assert zope.zope["trusted-proxy"] == ("10.0.0.1", "10.0.0.2")
    assert dict(zope.wsgi.waitress) == {"channel_timeout": ("5",)}
    assert dict(zope.environment) == {"MixedCase": ("Value",)}
    assert zope.product_config[0][0] == "mailer"
    assert zope.dos_protection.text("form-disk-limit") == "5GB"
