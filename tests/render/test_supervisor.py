"""supervisord.conf, read by supervisor's own parser."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions
from topologies import file_of

from zmount.errors import RenderError

TOPOLOGY = """
manager supervisor
<zeo zeo>
  <environment>
    ODD a, b=c 100% 'x' y
    EMPTY
  </environment>
</zeo>
<storage content/>
<runner>
  stop-timeout 44
  backoff-limit 6
</runner>
<instance pub>
  http-address 8080
  <mount content>
    mount-point /content
  </mount>
</instance>
<instance adm>
  kind admin
  http-address 8081
</instance>
"""


def parsed(directory: Path, text: str = TOPOLOGY) -> dict[str, Any]:
    """Return supervisor's program configurations by name."""
    conf = directory / "supervisord.conf"
    conf.write_text(file_of(directory, text, "supervisor").text)
    for name in (".", "zeo", "pub_client", "adm_client"):
        for inner in ("log", "var"):
            (directory / name / inner).mkdir(parents=True, exist_ok=True)
    options = ServerOptions()
    options.realize(["-c", str(conf), "-n"])
    groups = options.process_group_configs
    return {each.name: each for group in groups for each in group.process_configs}


def test_supervisor_reads_a_program_for_each_process(tmp_path: Path):
    programs = parsed(tmp_path)

    assert set(programs) == {"zeo", "pub", "adm"}
    assert programs["zeo"].command.endswith(f"/bin/runzeo -C {tmp_path}/zeo/etc/zeo.conf")
    assert programs["pub"].directory == f"{tmp_path}/pub_client"


def test_supervisor_ends_each_with_its_own_signal(tmp_path: Path):
    programs = parsed(tmp_path)

    assert programs["zeo"].stopsignal == signal.SIGTERM
    assert programs["pub"].stopsignal == signal.SIGINT
    assert programs["pub"].stopwaitsecs == 44


def test_supervisor_starts_zeo_first_and_admin_not_at_all(tmp_path: Path):
    programs = parsed(tmp_path)

    assert programs["zeo"].priority < programs["pub"].priority
    assert programs["pub"].autostart and not programs["adm"].autostart


def test_supervisor_restarts_as_zdaemon_would(tmp_path: Path):
    pub = parsed(tmp_path)["pub"]

    assert pub.exitcodes == [0, 2]
    assert pub.startsecs == 6
    assert pub.startretries > 100_000  # forever


def test_supervisor_reads_the_environment_that_was_said(tmp_path: Path):
    assert parsed(tmp_path)["zeo"].environment == {"ODD": "a, b=c 100% 'x' y", "EMPTY": ""}


def test_a_directory_with_blanks_and_per_cents_is_one_word(tmp_path: Path):
    directory = tmp_path / "a b 100%"
    directory.mkdir()

    # without a Zope: paste.deploy takes no %
    programs = parsed(directory, "manager supervisor\n<zeo zeo/>\n<storage content/>\n")

    assert programs["zeo"].command.endswith(f" -C '{directory}/zeo/etc/zeo.conf'")
    assert programs["zeo"].stdout_logfile == f"{directory}/zeo/log/transcript.log"


@pytest.mark.parametrize("value", ["a ;b", "a #b", 'it\'s "both"', "'quoted'"])
def test_what_supervisor_would_read_otherwise_is_refused(value: str, tmp_path: Path):
    text = TOPOLOGY.replace("EMPTY", f"BAD {value}")

    with pytest.raises(RenderError, match="supervisor would"):
        file_of(tmp_path, text, "supervisor")
