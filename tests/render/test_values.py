"""What an administrator writes is what the servers read, whatever characters it has."""

from __future__ import annotations

import configparser
import logging
from pathlib import Path

import pytest
import ZConfig
from topologies import file_of, files_of, topology_of
from waitress.adjustments import Adjustments
from ZEO.runzeo import ZEOOptions
from Zope2.Startup.options import ZopeWSGIOptions

from zmount.errors import RenderError
from zmount.plan.directories import directories
from zmount.render.files import generated_files
from zmount.render.text import ZConfigText
from zmount.topology.options import Options

ODD = ("a b", "price: 5 $$", "100 % sure", "größer als ü", "a#b ; c", "{x} (y)", "'q' \"r\"")
TOPOLOGY = """
<zeo zeo>
  <log>
    path log/100 % $$ grün/zeo.log
  </log>
</zeo>
<storage content>
  path data $$HOME/Däta %s.fs
</storage>
<instance pub>
  http-realm Größe $$ 5 % "#1"
  <log>
    path log/100 % $$ grün/event.log
  </log>
  <product-config odd>
    value  100 % $$x $$(y) <z> 'q'
    empty
  </product-config>
  <mount content>
    mount-point /content
  </mount>
</instance>
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The directory of TOPOLOGY, its directories and files made."""
    manager = "manager systemd\n"  # zdaemon cannot be told of blanks
    topology = topology_of(tmp_path, manager + TOPOLOGY)
    files = generated_files(topology, topology.hosts[0])
    for directory in directories(topology, topology.hosts[0], [file.path for file in files]):
        Path(directory.path).mkdir(exist_ok=True)
    for file in files:
        Path(file.path).write_text(file.text, encoding="utf-8")
    return tmp_path


def test_zeo_reads_the_values_that_were_written(made: Path):
    options = ZEOOptions()
    options.load_schema()
    config, _ = ZConfig.loadConfig(options.schema, str(made / "zeo/etc/zeo.conf"))

    assert config.storages[0].config.path == f"{made}/data $HOME/Däta %s.fs"
    factory = config.eventlog.handler_factories[0]
    assert factory.section.path == f"{made}/zeo/log/100 % $ grün/zeo.log"


def test_zope_reads_the_values_that_were_written(made: Path):
    options = ZopeWSGIOptions(str(made / "pub_client/etc/zope.conf"))()

    assert options.configroot.http_realm == 'Größe $ 5 % "#1"'
    odd = options.configroot.product_config["odd"]
    assert odd["value"] == "100 % $x $(y) <z> 'q'"
    assert odd["empty"] == ""


def test_logging_opens_the_log_whose_path_was_written(made: Path):
    parser = configparser.ConfigParser()
    parser.read(made / "pub_client/etc/zope.ini", encoding="utf-8")

    args = parser.get("handler_eventlog", "args")

    assert eval(args, vars(logging)) == (f"{made}/pub_client/log/100 % $ grün/event.log",)


@pytest.mark.parametrize("value", ODD)
def test_an_odd_value_survives_zconfig(value: str):
    text = ZConfigText()
    text.options(Options((("key", (value.replace("$$", "$"),)),)))

    schema = ZConfig.loadSchemaFile(_file('<schema><key name="key"/></schema>'))
    config, _ = ZConfig.loadConfigFile(schema, _file(str(text)))

    assert config.key == value.replace("$$", "$")


def test_a_line_break_cannot_smuggle_a_line_into_a_file():
    with pytest.raises(RenderError, match="line break"):
        ZConfigText().key("name", "x\n%include /etc/passwd")


def test_zdaemon_cannot_be_told_of_a_program_with_blanks(tmp_path: Path):
    with pytest.raises(RenderError, match="has a blank, at which zdaemon splits"):
        files_of(tmp_path, "<zeo zeo>\n  directory my zeo\n</zeo>\n<storage s/>\n")


@pytest.mark.parametrize("mark", ["%", "#"])
def test_paste_cannot_open_a_zope_ini_in_a_directory_with_such_a_mark(mark: str, tmp_path: Path):
    with pytest.raises(RenderError, match=r"paste\.deploy cannot read"):
        files_of(tmp_path, f"<instance pub>\n  directory a{mark}b\n</instance>\n")


def test_a_new_line_in_a_log_format_is_one_in_zeo_and_in_zope(tmp_path: Path):
    text = "<log>\n  format ---\\n%(message)s\n</log>\n<zeo zeo/>\n<storage s/>\n<instance pub/>\n"
    zeo = file_of(tmp_path, text, "zeo").text
    parser = configparser.ConfigParser()
    parser.read_string(file_of(tmp_path, text, "ini").text)

    assert "    format ---\\n%(message)s\n" in zeo
    assert parser.get("formatter_eventlog", "format", raw=True) == "---\n%(message)s"


def _file(text: str):
    import io

    return io.StringIO(text)


OF_WAITRESS = "trusted-proxy ::1\ntrusted-proxy-headers x-forwarded-for\n"


@pytest.mark.parametrize(
    ("said", "clears"),
    [
        ("trusted-proxy 10.0.0.9", False),
        ("", True),
        ("trusted-proxy ::1\n<waitress>\n" + OF_WAITRESS + "</waitress>", True),
        ("trusted-proxy ::1\n<waitress>\nclear-untrusted-proxy-headers on\n</waitress>", True),
    ],
)
def test_waitress_hands_on_the_x_forwarded_for_of_zopes_trusted_proxy(
    said: str, clears: bool, tmp_path: Path
):
    ini = configparser.ConfigParser()
    ini.read_string(file_of(tmp_path, f"<instance pub>\n{said}\n</instance>", "ini").text)

    server = {key: value for key, value in ini["server:main"].items() if key != "use"}

    assert Adjustments(**server).clear_untrusted_proxy_headers is clears


def test_a_secret_of_waitress_survives_the_ini_files_interpolation(tmp_path: Path):
    told = "<waitress>\nurl-token 100%s\n</waitress>"
    ini = configparser.ConfigParser()
    ini.read_string(file_of(tmp_path, f"<instance pub>\n{told}\n</instance>", "ini").text)

    assert ini["server:main"]["url_token"] == "100%s"


def test_the_password_of_a_log_handler_is_in_a_private_file_and_shown_nowhere(tmp_path: Path):
    text = """
<instance pub>
  <log>
    handler handlers.SMTPHandler
    handler-args ('localhost', 'a@x', ['b@x'], 'down', ('me', 'opensesame'))
  </log>
</instance>
"""
    topology = topology_of(tmp_path, text)

    (ini,) = [file for file in files_of(tmp_path, text) if file.reader == "ini"]

    assert "('me', 'opensesame')" in ini.text
    assert ini.mode == 0o600
    assert "opensesame" not in repr(topology)
