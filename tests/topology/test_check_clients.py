"""Rules about ZEO clients."""

from __future__ import annotations

import pytest

TEXT = """
directory /srv/zope
<zeo zeo>
{zeo}
</zeo>
<storage {storage}/>
<instance zope>
root {storage}
<client>
{client}
</client>
</instance>
"""
SSL = "<ssl>\ncertificate /etc/cert.pem\nauthenticate /etc/ca.pem\n</ssl>"


def client(*lines: str, zeo: str = "", storage: str = "main") -> str:
    return TEXT.format(client="\n".join(lines), zeo=zeo, storage=storage)


@pytest.mark.parametrize("old", ["wait off", "client zope", "min-disconnect-poll 1"])
@pytest.mark.parametrize("new", ["wait-timeout 5", "server-sync on"])
def test_keys_of_zeoclient_and_clientstorage_do_not_mix(finds, old, new):
    finds(client(old, new), ("client-keys-mixed", old))


def test_tls_and_the_keys_of_zeoclient_do_not_mix(finds):
    finds(client("wait off", SSL, zeo=SSL), ("client-keys-mixed", "wait off"))


@pytest.mark.parametrize(
    "lines",
    [("client zope", "wait off"), ("cache-path var/%s.zec", "server-sync on"), ("cache-size 1MB",)],
)
def test_keys_of_one_kind_are_clean(finds, lines):
    finds(client(*lines))


def test_client_with_a_slash_in_the_storages_name_is_an_error(finds):
    finds(client("client zope", storage="pub/main"), ("client-with-slash", "client zope"))


def test_cache_path_with_a_slash_in_the_storages_name_is_clean(finds):
    finds(client("cache-path var/%s.zec", storage="pub/main"))


STAGING = """
directory /srv/zope
<zeo zeo/>
<site x.org/>
<instance dev>
  kind development
  <mount {mount}>
    <client>
      cache-path var/cache.zec
    </client>
  </mount>
</instance>
"""


def test_a_persistent_cache_of_staging_that_is_no_stage_is_doubtful(finds):
    finds(
        "stage-mode none\n" + STAGING.format(mount="stage/x.org"),
        ("persistent-cache-on-staging", "cache-path var/cache.zec"),
    )


def test_a_persistent_cache_of_a_stage_is_clean(finds):
    finds(STAGING.format(mount="stage/x.org"))


def test_a_persistent_cache_of_production_is_clean(finds):
    finds(STAGING.format(mount="pub/x.org"))


def test_one_line_for_a_hundred_sites_is_one_finding(finds):
    sites = "".join(f"<site s{number}.org/>\n" for number in range(100))
    finds(
        "directory /srv/zope\n<zeo zeo/>\n" + sites + "<instance dev>\nkind development\n"
        "</instance>\n<client>\ndrop-cache-rather-verify on\n</client>\n",
        ("drop-cache-ignored", "drop-cache-rather-verify on"),
    )


def test_a_key_that_zeo_ignores_is_doubtful(finds):
    finds(client("drop-cache-rather-verify on"), ("drop-cache-ignored", "drop-cache"))
    finds(client("drop-cache-rather-verify off"))


def test_read_only_and_read_only_fallback_contradict_each_other(finds):
    finds(client("read-only on", "read-only-fallback on"), ("read-only-twice", "fallback"))
    finds(client("read-only on", "read-only-fallback off"))
    finds(client("read-only-fallback on"))


def test_zeo_refuses_to_check_a_blob_cache_after_all_of_it(finds):
    size = "blob-cache-size 1GB"
    finds(client(size, "blob-cache-size-check 100"), ("blob-cache-size-check", "100"))
    finds(client(size, "blob-cache-size-check 99"))
    finds(client("blob-cache-size-check 100"))


def test_tls_on_the_clients_side_only_is_an_error(finds):
    finds(client(SSL), ("tls-one-side", "<ssl>"))


def test_tls_on_the_servers_side_only_is_an_error(finds):
    finds(client("wait-timeout 5", zeo=SSL), ("tls-one-side", "<instance zope>"))


def test_tls_on_both_sides_is_clean(finds):
    finds(client(SSL, zeo=SSL))


def test_tls_through_a_proxy_is_not_judged(finds):
    finds(client("server proxy.example:8100", SSL))


@pytest.mark.parametrize("said", ["", "authenticate SIGNED", "authenticate DYNAMIC"])
def test_a_server_must_know_whose_certificates_it_accepts(finds, said):
    ssl = f"<ssl>\ncertificate /etc/cert.pem\n{said}\n</ssl>"
    finds(client(SSL, zeo=ssl), ("tls-authenticate", said or "<ssl>"))


@pytest.mark.parametrize("said", ["SIGNED", "DYNAMIC"])
def test_a_client_must_know_whose_certificate_it_accepts(finds, said):
    ssl = f"<ssl>\ncertificate /etc/cert.pem\nauthenticate {said}\n</ssl>"
    finds(client(ssl, zeo=SSL), ("tls-authenticate", f"authenticate {said}"))


def test_a_client_that_trusts_the_systems_authorities_is_clean(finds):
    finds(client("<ssl>\ncertificate /etc/cert.pem\n</ssl>", zeo=SSL))


def test_a_passphrase_and_a_function_for_it_are_an_error(finds):
    ssl = SSL.replace("</ssl>", "key-passphrase xyzzy\npassword-function a.b\n</ssl>")
    finds(client(SSL, zeo=ssl), ("tls-passphrase-twice", "<ssl>"))


def test_two_passphrases_in_one_process_are_an_error(finds):
    def ssl(phrase: str) -> str:
        return SSL.replace("</ssl>", f"key-passphrase {phrase}\n</ssl>")

    text = """
directory /srv/zope
<zeo zeo>
{server}
</zeo>
<storage main/>
<storage other/>
<client>
{all}
</client>
<instance zope>
root main
<mount other>
mount-point /other
<client>
{other}
</client>
</mount>
</instance>
"""
    finds(
        text.format(server=SSL, all=ssl("xyzzy"), other=ssl("plugh")),
        ("tls-two-passphrases", "<ssl>"),
    )
    finds(text.format(server=SSL, all=ssl("xyzzy"), other=ssl("xyzzy")))


OF_A_STAGE = """
directory /srv/zope
<zeo zeo/>
<site x.org/>
<client>
shared-blob-dir {all}
</client>
<instance dev>
  kind development
  <mount {mount}>
    <client>
      {own}
    </client>
  </mount>
</instance>
"""


def of_a_stage(own: str, *, mount: str = "stage/x.org", all_: str = "off") -> str:
    return OF_A_STAGE.format(own=own, mount=mount, all=all_)


def test_a_client_does_not_share_the_blobs_of_a_stage(finds):
    finds(of_a_stage("shared-blob-dir on"), ("shared-blob-dir-of-stage", "shared-blob-dir on"))


def test_a_staging_storage_that_is_no_stage_may_be_shared(finds):
    finds("stage-mode none\n" + of_a_stage("shared-blob-dir on"))


def test_what_all_share_is_clean_and_a_stage_not_among_it(finds):
    finds(of_a_stage("cache-size 1MB", all_="on"))
    finds(of_a_stage("shared-blob-dir on", mount="pub/x.org", all_="on"))


@pytest.mark.parametrize("directory", ["generations", "generations/blobs", "blobs/../generations"])
def test_a_blob_cache_is_not_in_the_directory_of_a_stage(finds, directory):
    said = f"blob-dir /srv/zope/var/stage/x.org/{directory}"
    rules = [("blob-cache-in-stage", said)]
    if directory != "generations/blobs":  # two users of one path are found as well
        rules.append(("path-twice", said))
    finds(of_a_stage(said), *rules)


def test_a_blob_cache_that_is_a_stages_blob_directory_is_not_to_be_shared(write):
    from zmount.operations.check import check_file

    said = "blob-dir /srv/zope/var/stage/x.org/blobs"

    (found,) = check_file(write(of_a_stage(said))).findings

    assert found.rule == "blob-cache-is-blob-dir"
    assert found.hint == "another blob-dir"
