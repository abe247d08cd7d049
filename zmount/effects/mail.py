"""Sending mail: through an SMTP server, or this machine's sendmail program."""

from __future__ import annotations

import os
import shutil
import smtplib
import socket
import subprocess
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from zmount.effects.person import login_name
from zmount.errors import ZMountError
from zmount.topology.addresses import parse_address
from zmount.topology.schedules import Mails

TIMEOUT_S = 30
SMTP_PORT = 25
_SBIN = "/usr/sbin:/usr/lib:/sbin"  # which cron's and many users' PATH lack


def send_mail(mails: Mails, to: tuple[str, ...], subject: str, text: str) -> None:
    """Send TEXT to the addresses TO, the way MAILS says.

    :raises ZMountError: nobody takes it; with the reason
    """
    message = EmailMessage()
    message["From"] = mails.sender or f"{login_name().split()[0]}@{socket.gethostname()}"
    message["To"] = ", ".join(to)
    message["Subject"] = " ".join(subject.split())
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid()
    message["Auto-Submitted"] = "auto-generated"  # no out-of-office answers
    message.set_content(text)
    names = ", ".join(to)
    try:
        if mails.server:
            _by_smtp(mails.server, message)
        else:
            _by_sendmail(message)
    except (OSError, smtplib.SMTPException, subprocess.SubprocessError) as why:
        through = mails.server or "sendmail"
        raise ZMountError(
            f"no mail was sent to {names} through {through}: {_reason(why)}"
        ) from None


def _by_smtp(server: str, message: EmailMessage) -> None:
    address = parse_address(server if ":" in server else f"{server}:{SMTP_PORT}")
    with smtplib.SMTP(address.host, address.port, timeout=TIMEOUT_S) as smtp:
        smtp.send_message(message)


def _by_sendmail(message: EmailMessage) -> None:
    path = f"{os.environ.get('PATH', os.defpath)}:{_SBIN}"
    program = shutil.which("sendmail", path=path)
    if program is None:
        raise ZMountError(
            f"no mail was sent to {message['To']}: this machine has no sendmail program",
            hint="mail-server HOST:PORT, in zmount.conf",
        )
    subprocess.run(
        [program, "-i", "-t"],
        input=message.as_bytes(),
        capture_output=True,
        timeout=TIMEOUT_S,
        check=True,
    )


def _reason(why: Exception) -> str:
    if isinstance(why, subprocess.CalledProcessError):
        said = why.stderr.decode(errors="backslashreplace").strip().splitlines()
        return said[-1] if said else f"sendmail ended with exit status {why.returncode}"
    if isinstance(why, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{to}: {_said(text)}" for to, (_, text) in why.recipients.items())
    if isinstance(why, smtplib.SMTPResponseException):
        return _said(why.smtp_error)
    return str(getattr(why, "strerror", None) or why)


def _said(text: bytes | str) -> str:
    return text.decode(errors="backslashreplace") if isinstance(text, bytes) else text
