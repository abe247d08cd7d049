"""systemd's units, judged by systemd-analyze."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from topologies import files_of

from zmount.render.generated import GeneratedFile

TOPOLOGY = """
user daemon
<zeo zeo/>
<storage content/>
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
MANAGERS = ("zdaemon", "systemd", "supervisor")


def units_of(directory: Path, text: str, manager: str = "systemd") -> dict[str, str]:
    """Return the text of each unit by its name."""
    files = files_of(directory, f"manager {manager}\n{text}")
    return {file.path.name: file.text for file in files if file.reader == "systemd"}


def verify(directory: Path, units: dict[str, str]) -> str:
    """Return what systemd-analyze has to say against UNITS."""
    program = shutil.which("systemd-analyze")
    assert program, "systemd-analyze is needed for this test: apt install systemd"
    for name, text in units.items():
        (directory / name).write_text(text)
    done = subprocess.run(
        [program, "verify", "--man=no", *(str(directory / name) for name in units)],
        capture_output=True,
        text=True,
        # its own units only: the machine's may be broken
        env={"SYSTEMD_UNIT_PATH": f"{directory}:", "PATH": "/usr/bin:/bin"},
    )
    about_ours = [line for line in done.stderr.splitlines() if "zmount" in line]
    return "\n".join(about_ours) + ("" if done.returncode == 0 else f"\nrc {done.returncode}")


@pytest.mark.parametrize("manager", MANAGERS)
@pytest.mark.parametrize("user", ["daemon", ""])
def test_systemd_finds_nothing_wrong(manager: str, user: str, tmp_path: Path):
    text = TOPOLOGY.replace("user daemon", f"user {user}" if user else "")

    assert verify(tmp_path, units_of(tmp_path, text, manager)) == ""


def test_systemd_finds_something_wrong_with_a_wrong_unit(tmp_path: Path):
    units = units_of(tmp_path, TOPOLOGY)
    units["zmount-zeo.service"] = units["zmount-zeo.service"].replace("Type=exec", "Type=exce")

    assert "exce" in verify(tmp_path, units)


def test_blanks_and_signs_in_a_path_are_one_word_to_systemd(tmp_path: Path):
    directory = tmp_path / 'a b %h $HOME "q"'
    directory.mkdir()
    # without a Zope: paste.deploy takes no %
    units = units_of(directory, "user daemon\n<zeo zeo/>\n<storage content/>\n")

    assert verify(tmp_path, units) == ""
    quoted = str(directory).replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    assert f' -C "{quoted}/zeo/etc/zeo.conf"\n' in units["zmount-zeo.service"]


def test_a_zope_is_ended_by_sigint_and_starts_after_its_zeo_server(tmp_path: Path):
    unit = units_of(tmp_path, TOPOLOGY)["zmount-pub.service"].splitlines()

    assert "KillSignal=SIGINT" in unit
    assert "After=network-online.target zmount-zeo.service" in unit
    assert "Wants=network-online.target zmount-zeo.service" in unit


def test_a_zeo_server_is_ended_by_sigterm(tmp_path: Path):
    assert "KillSignal=SIGTERM\n" in units_of(tmp_path, TOPOLOGY)["zmount-zeo.service"]


def test_a_service_waits_for_the_network_that_it_may_listen_on(tmp_path: Path):
    unit = units_of(tmp_path, TOPOLOGY)["zmount-zeo.service"].splitlines()

    # After= alone does not make systemd reach the target
    assert {"Wants=network-online.target", "After=network-online.target"} <= set(unit)


def test_only_what_autostarts_is_started_at_boot(tmp_path: Path):
    units = units_of(tmp_path, TOPOLOGY)

    assert "Wants=zmount-zeo.service zmount-pub.service\n" in units["zmount.target"]
    assert "WantedBy=zmount.target" in units["zmount-pub.service"]
    assert "[Install]" not in units["zmount-adm.service"]


def test_the_runners_keys_become_systemds(tmp_path: Path):
    runner = """<runner>
      umask 027
      stop-timeout 99
      start-timeout 88
      exit-codes 0,2,5
      forever false
      backoff-limit 4
    </runner>"""
    unit = units_of(tmp_path, runner + TOPOLOGY)["zmount-pub.service"].splitlines()

    assert {
        "UMask=027",
        "TimeoutStopSec=99",
        "TimeoutStartSec=88",
        "RestartPreventExitStatus=2 5",
        "StartLimitBurst=4",
        "Restart=on-failure",
    } <= set(unit)


def writable(unit: str) -> set[str]:
    lines = (line.partition("=") for line in unit.splitlines())
    return {value.lstrip("-") for key, _, value in lines if key == "ReadWritePaths"}


def test_a_process_may_write_its_own_directories_and_its_data_only(tmp_path: Path):
    units = units_of(tmp_path, TOPOLOGY)

    zeo = writable(units["zmount-zeo.service"]) - {"/tmp", "/var/tmp"}
    pub = writable(units["zmount-pub.service"]) - {"/tmp", "/var/tmp"}

    assert zeo == {f"{tmp_path}/var", f"{tmp_path}/zeo/log", f"{tmp_path}/zeo/var"}
    assert pub == {f"{tmp_path}/pub_client/log", f"{tmp_path}/pub_client/var"}


def test_data_outside_the_deployment_is_writable_too(tmp_path: Path):
    text = TOPOLOGY.replace("<storage content/>", "<storage content>\npath /data/c.fs\n</storage>")

    assert "/data" in writable(units_of(tmp_path, text)["zmount-zeo.service"])


def test_every_file_of_a_storage_of_another_type_is_writable(tmp_path: Path):
    backend = """<storage content>
      <demostorage>
        <filestorage base>
          path /live/Data.fs
          read-only on
        </filestorage>
        <filestorage changes>
          path /changes/Data.fs
          blob-dir /changed-blobs
        </filestorage>
      </demostorage>
    </storage>"""
    text = TOPOLOGY.replace("<storage content/>", backend)

    places = writable(units_of(tmp_path, text)["zmount-zeo.service"])

    assert {"/changes", "/changed-blobs"} <= places


def test_the_cache_of_compiled_templates_is_writable(tmp_path: Path):
    variables = "<environment>\nCHAMELEON_CACHE /var/cache/chameleon\n</environment>"
    text = TOPOLOGY.replace("  http-address 8080", f"  http-address 8080\n{variables}")

    assert "/var/cache/chameleon" in writable(units_of(tmp_path, text)["zmount-pub.service"])


def test_a_deployment_outside_tmp_gets_a_tmp_of_its_own(tmp_path: Path):
    text = f"directory /srv/deployment\nvenv /srv/venv\n{TOPOLOGY}"

    unit = units_of(tmp_path, text)["zmount-pub.service"]

    assert "PrivateTmp=yes" in unit
    assert "/tmp" not in writable(unit)


def test_a_port_below_1024_needs_a_capability(tmp_path: Path):
    text = TOPOLOGY.replace("http-address 8080", "http-address 80")

    units = units_of(tmp_path, text)

    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in units["zmount-pub.service"]
    assert "AmbientCapabilities" not in units["zmount-adm.service"]


def test_at_boot_zdaemon_and_supervisor_are_started_by_one_service(tmp_path: Path):
    zdaemon = units_of(tmp_path, TOPOLOGY, "zdaemon")["zmount.service"]
    supervisor = units_of(tmp_path, TOPOLOGY, "supervisor")["zmount.service"]

    assert f"zmount -f {tmp_path}/zmount.conf --host localhost start" in zdaemon
    assert f"supervisord --nodaemon -c {tmp_path}/etc/supervisord.conf" in supervisor


def test_one_process_that_fails_at_boot_takes_no_other_along(tmp_path: Path):
    unit = units_of(tmp_path, TOPOLOGY, "zdaemon")["zmount.service"]

    # a start that fails makes systemd end all that it started, unless told otherwise
    assert "ExecStart=-" in unit


def test_the_units_lie_where_the_topology_says(tmp_path: Path):
    text = "manager systemd\nunit-directory /etc/systemd/system\n" + TOPOLOGY

    found: list[GeneratedFile] = [f for f in files_of(tmp_path, text) if f.reader == "systemd"]

    assert {str(file.path.parent) for file in found} == {"/etc/systemd/system"}


def test_two_deployments_on_one_machine_have_units_of_their_own(tmp_path):
    units = units_of(tmp_path, "unit-prefix zmount-two\n" + TOPOLOGY)

    assert {"zmount-two.target", "zmount-two-zeo.service", "zmount-two-pub.service"} <= set(units)
    assert "PartOf=zmount-two.target" in units["zmount-two-pub.service"]
    assert "Wants=network-online.target zmount-two-zeo.service" in units["zmount-two-pub.service"]
