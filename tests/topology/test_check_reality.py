"""What the rules believe of ZODB, ZEO, Zope and zdaemon, asked of these themselves."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
import transaction
import ZConfig
import ZEO
from hypothesis import given, settings
from hypothesis import strategies as st
from OFS.Folder import Folder
from OFS.ObjectManager import checkValidId
from ZEO.ClientStorage import ClientStorage
from zExceptions import BadRequest
from ZODB import DB
from ZODB.FileStorage import FileStorage

from zmount.topology.checks.ids import why_no_id
from zmount.topology.mounts import CLIENTSTORAGE_ONLY, ZEOCLIENT_ONLY

ZEO_SCHEMA = ZConfig.loadSchema(str(Path(ZEO.__file__).with_name("schema.xml")))


def zeo_conf(text: str) -> object:
    return ZConfig.loadConfigFile(ZEO_SCHEMA, StringIO(text))[0]


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(["REQUEST", "aq_x", "@@x", "++x", "_x", "x__", ".", "..", "a/b", "<", "&"]),
    )
)
def test_an_id_that_zope_refuses_is_refused(text):
    try:
        checkValidId(Folder("home"), text)
    except BadRequest:
        assert why_no_id(text) or "/" in text
    else:
        assert (
            not why_no_id(text)
            or any(not c.isprintable() or c in '?#%":' for c in text)
            or (text != text.strip())
        )


def test_what_a_folder_has_itself_is_no_id():
    folder = Folder("home")
    names = [name for name in dir(folder) if not name.startswith(("_", "aq_"))]
    assert len(names) > 100

    for name in names:
        try:
            checkValidId(folder, name)
        except BadRequest:
            assert why_no_id(name), name


def test_zeo_refuses_to_serve_nothing():
    with pytest.raises(ZConfig.ConfigurationError):
        zeo_conf("<zeo>\naddress 8100\n</zeo>\n")


def test_zeo_refuses_two_storages_of_one_name():
    storage = "<mappingstorage a>\n</mappingstorage>\n"
    with pytest.raises(ZConfig.ConfigurationError):
        zeo_conf("<zeo>\naddress 8100\n</zeo>\n" + 2 * storage)


def test_zeo_lowers_the_names_of_storages():
    (storage,) = zeo_conf(
        "<zeo>\naddress 8100\n</zeo>\n<mappingstorage Pub/X>\n</mappingstorage>\n"
    ).storages
    assert storage.name == "pub/x"


def test_zeo_refuses_a_server_that_authenticates_nobody():
    with pytest.raises(ZConfig.ConfigurationError, match="authenticate"):
        zeo_conf(
            "<zeo>\naddress 8100\n<ssl>\ncertificate x\n</ssl>\n</zeo>\n"
            "<mappingstorage a>\n</mappingstorage>\n"
        )


def test_zeo_takes_signed_for_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="No such file"):
        zeo_conf(
            "<zeo>\naddress 8100\n<ssl>\ncertificate x\nauthenticate SIGNED\n</ssl>\n</zeo>\n"
            "<mappingstorage a>\n</mappingstorage>\n"
        )


@pytest.mark.parametrize(
    ("section", "known", "unknown"),
    [
        ("zeoclient", ZEOCLIENT_ONLY, CLIENTSTORAGE_ONLY),
        ("clientstorage", CLIENTSTORAGE_ONLY, ZEOCLIENT_ONLY),
    ],
)
def test_the_two_sections_of_a_client_have_the_keys_that_we_think(section, known, unknown):
    schema = ZConfig.loadSchemaFile(
        StringIO(
            '<schema><import package="ZODB"/><import package="ZEO"/>'
            '<section type="ZODB.storage" name="*" attribute="storage"/></schema>'
        )
    )
    keys = {key for key, _ in schema.gettype(section)}
    assert known <= keys
    assert not unknown & keys


def test_zeo_does_not_start_with_a_blob_cache_that_is_checked_after_all_of_it(tmp_path):
    with pytest.raises(AssertionError):
        ClientStorage(
            str(tmp_path / "nobody"),
            blob_dir=str(tmp_path / "blobs"),
            blob_cache_size=1000,
            blob_cache_size_check=100,
            wait=False,
        )


def test_create_empties_a_data_fs(tmp_path):
    path = str(tmp_path / "Data.fs")
    database = DB(FileStorage(path))
    with database.transaction() as connection:
        connection.root()["x"] = 1
    database.close()
    transaction.abort()
    database = DB(FileStorage(path, create=True))
    with database.transaction() as connection:
        assert "x" not in connection.root()
    database.close()


def test_a_data_fs_cannot_be_opened_twice_except_to_read(tmp_path):
    path = str(tmp_path / "Data.fs")
    storage = FileStorage(path)
    with pytest.raises(Exception, match="lock"):
        FileStorage(path)
    FileStorage(path, read_only=True).close()
    storage.close()


def test_zdaemon_splits_a_program_at_blanks_whatever_its_quotes():
    from ZConfig.datatypes import stock_datatypes

    assert stock_datatypes["string-list"]("'/my venv/bin/runzeo' -C x") == [
        "'/my",
        "venv/bin/runzeo'",
        "-C",
        "x",
    ]
