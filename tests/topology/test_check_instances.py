"""Rules about instances and the deployment as a whole."""

from __future__ import annotations

import pytest


def instance(*lines: str, top: str = "") -> str:
    body = "\n".join(lines)
    return f"directory /srv/zope\n{top}\n<instance zope>\n{body}\n</instance>\n"


def test_fewer_connections_than_threads_are_doubtful(finds):
    finds(instance("threads 8"), ("pool-smaller-than-threads", "threads 8"))
    finds(instance("threads 7"))
    finds(
        instance("threads 3", "<database>", "pool-size 2", "</database>"),
        ("pool-smaller-than-threads", "pool-size 2"),
    )
    finds(instance("threads 8", "<database>", "pool-size 8", "</database>"))


@pytest.mark.parametrize("said", ["true", "on", "unset"])
def test_references_between_databases_are_doubtful(finds, said):
    line = f"allow-implicit-cross-references {said}"
    finds(instance(top=f"<database>\n{line}\n</database>"), ("cross-references-allowed", line))


def test_no_references_between_databases_are_clean(finds):
    finds(instance(top="<database>\nallow-implicit-cross-references false\n</database>"))


def test_verbose_security_needs_the_policy_in_python(finds):
    finds(instance("verbose-security on"), ("verbose-security-ignored", "verbose-security"))
    finds(instance("verbose-security on", "security-policy-implementation python"))
    finds(instance("verbose-security off"))


@pytest.mark.parametrize("key", ["skip-authentication-checking", "skip-ownership-checking"])
def test_skipping_security_is_doubtful(finds, key):
    finds(instance(f"{key} on"), ("security-skipped", key))
    finds(instance(f"{key} off"))


def test_debug_mode_is_for_developers(finds):
    finds(instance("debug-mode on"), ("debug-mode-public", "debug-mode on"))
    finds(instance("debug-mode on", "kind development"))


def test_an_instance_does_not_start_at_boot_without_its_server(finds):
    text = """
        directory /srv/zope
        <zeo zeo>
          autostart off
        </zeo>
        <storage main/>
        <instance pub>
          root main
          {}
        </instance>
        """
    finds(text.format(""), ("autostart-without-server", "autostart off"))
    finds(text.format("autostart off"))


def test_a_filter_needs_a_section_or_an_egg(finds):
    finds(instance("filter profile"), ("filter-unknown", "filter profile"))
    finds(instance("filter profile", "<ini filter:profile>", "use egg:x#y", "</ini>"))
    finds(instance("filter egg:repoze.profile"))


@pytest.mark.parametrize("section", ["ini", "product-config"])
def test_a_section_that_is_about_its_name_needs_one(finds, section):
    finds(instance(f"<{section}>", "x y", f"</{section}>"), ("no-name", f"<{section}>"))
    finds(instance(f"<{section} composite:x>", "x y", f"</{section}>"))


def test_a_file_that_describes_nothing_is_an_error(finds):
    finds("directory /srv/zope\n", ("nothing-described", ""))


def test_a_host_without_processes_is_doubtful(finds):
    finds(
        "directory /srv/zope\n<host a/>\n<host b/>\n<instance zope/>\n",
        ("host-unused", "<host b/>"),
    )


def test_hosts_need_a_directory_that_does_not_depend_on_where_the_file_lies(finds):
    text = "{}\n<host a>\ndirectory /srv/a\n</host>\n<host b/>\n" + "".join(
        f"<instance i{host}>\nhost {host}\n</instance>\n" for host in "ab"
    )
    finds(text.format(""), ("directory-not-said", "<host b/>"))
    finds(text.format("directory /srv/zope"))


@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
def test_processes_of_a_manager_need_a_user(finds, manager):
    finds(instance(top=f"manager {manager}"), ("runs-as-root", ""))
    finds(instance(top=f"manager {manager}\nuser zope"))
    finds(instance(top="manager zdaemon"))


def test_a_process_that_is_told_to_run_as_root_is_doubtful(finds):
    finds(instance("user root"), ("runs-as-root", "user root"))


def test_a_log_is_rotated_by_size_or_by_time(finds):
    log = ("<log>", "max-size 1MB", "when D", "</log>")
    finds(instance(*log), ("log-size-and-time", "when D"))
    finds(instance(*log[:2], log[3]))
    finds(instance(log[0], *log[2:]))


def test_an_instance_may_rotate_otherwise_than_the_others(finds):
    finds(instance("<log>", "when D", "</log>", top="<log>\nmax-size 1MB\n</log>"))
    finds(instance("<log>", "max-size 1MB", "</log>", top="<log>\nwhen D\ninterval 2\n</log>"))


def test_a_log_for_all_that_is_rotated_twice_is_one_error(finds):
    finds(
        instance(top="<log>\nmax-size 1MB\nwhen D\n</log>"),
        ("log-size-and-time", "when D"),
    )


def test_an_interval_needs_a_unit(finds):
    finds(instance("<log>", "interval 2", "</log>"), ("log-interval", "interval 2"))


@pytest.mark.parametrize("program", ["sh -c 'exit 0'", 'test "a b"'])
def test_a_start_test_program_has_no_quotes(finds, program):
    finds(
        instance("<runner>", f"start-test-program {program}", "</runner>"),
        ("start-test-quotes", "<instance zope>"),
    )
    finds(instance("<runner>", "start-test-program bin/test --fast", "</runner>"))


@pytest.mark.parametrize("mark", ["%", "#"])
def test_an_instance_lies_where_paste_can_open_its_ini(finds, mark):
    finds(instance(f"directory my{mark}client"), ("path-with-mark", f"directory my{mark}client"))
