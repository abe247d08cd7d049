"""Rules about packing."""

from __future__ import annotations

import pytest

TWO_HOSTS = """
directory /srv/zope
{top}
<host one/>
<host two/>
<zeo zeo>
  host one
  <ssl>
    certificate c.pem
    authenticate clients.pem
  </ssl>
</zeo>
<client>
  <ssl>
    certificate c.pem
    authenticate server.pem
  </ssl>
</client>
<storage content>
  {storage}
</storage>
<storage root/far>
  server none
  host two
  {far}
</storage>
<instance near>
  host one
  root near
  <mount content>
    mount-point /content
  </mount>
</instance>
<storage near/>
<instance far>
  host two
  root root/far
  <mount content>
    mount-point /content
  </mount>
</instance>
"""


def two_hosts(*, top: str = "", storage: str = "", far: str = "") -> str:
    return TWO_HOSTS.format(top=top, storage=storage, far=far)


def test_storages_on_two_hosts_that_may_refer_to_each_other_keep_their_garbage(finds):
    finds(two_hosts(), ("garbage-stays", "<instance far>"))


@pytest.mark.parametrize(
    "said",
    [
        {"top": "references none"},
        {"storage": "references none", "far": "references none"},
        {"storage": "references none\npack-gc off"},
        {"storage": "pack-gc off", "far": "pack-gc off"},
    ],
)
def test_who_vouches_for_them_or_wants_no_gc_hears_nothing_of_it(finds, said):
    finds(two_hosts(**said))


def test_one_side_that_is_vouched_for_frees_the_other_only(finds):
    finds(two_hosts(far="references none"), ("garbage-stays", "<instance far>"))


def test_what_is_no_filestorage_keeps_the_garbage_of_those_beside_it(finds):
    text = """
        directory /srv/zope
        <zeo zeo/>
        <storage sql>
          {}
          <relstorage>
            <postgresql>
              dsn x
            </postgresql>
          </relstorage>
        </storage>
        <instance pub>
          <mount sql>
            mount-point /sql
          </mount>
        </instance>
        """
    finds(text.format(""), ("garbage-stays", "<instance pub>"))
    finds(text.format("references none"))


@pytest.mark.parametrize("type_", ["mappingstorage", "zlibstorage", "demostorage"])
def test_a_storage_in_memory_or_around_filestorages_is_no_obstacle(finds, type_):
    inner = "" if type_ == "mappingstorage" else "<filestorage>\npath z.fs\n</filestorage>"
    finds(
        f"directory /srv/zope\n<storage z>\n<{type_}>\n{inner}\n</{type_}>\n</storage>\n"
        "<instance pub>\n<mount z>\nmount-point /z\n</mount>\n</instance>\n"
    )


def test_a_packer_that_is_no_dotted_name_is_an_error(finds):
    finds(
        "directory /srv/zope\n<storage root>\npacker fast\n</storage>\n"
        "<instance pub>\nroot root\n</instance>\n",
        ("packer-no-name", "packer fast"),
    )
