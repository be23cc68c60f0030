"""Real mail servers on loopback: private instances of Debian's dovecot (IMAP) and postfix (SMTP) in a temporary folder.

``BOXES`` says which address lands in which Maildir; dovecot shows it under the name of the box and the password
``secret``. Anybody else at qinghe.test is refused (550 5.1.1). Needs root (both servers change users) and the packages dovecot-imapd and postfix.
"""

from __future__ import annotations

import os
import shutil
import signal
import smtplib
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "secret"
BOXES = {"xianzhang@qinghe.test": "xianzhang", "zhenfu@qinghe.test": "zhenfu", "@example.test": "citizens"}

_DOVECOT = """\
base_dir = {d}/run
log_path = {d}/log/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:{d}/mail/%n
first_valid_uid = 1
mail_max_userip_connections = 100
default_process_limit = 40
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={d}/mail/%n allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
}}
"""

_MAIN = """\
compatibility_level = 3.6
queue_directory = {d}/queue
data_directory = {d}/lib
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.qinghe.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = qinghe.test, example.test
virtual_mailbox_base = {d}/mail
virtual_mailbox_maps = texthash:{d}/etc/boxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
virtual_minimum_uid = 1
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_client_connection_rate_limit = 0
smtpd_peername_lookup = no
default_transport = error:no mail leaves this machine
maillog_file = {d}/log/postfix.log
maillog_file_prefixes = {d}
import_environment = MAIL_CONFIG TZ
"""

_MASTER = """\
127.0.0.1:{smtp} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def missing() -> str:
    """Why the servers cannot be started here; empty if they can."""
    if os.geteuid() != 0:
        return "dovecot and postfix need root to start"
    for program in ("/usr/sbin/dovecot", "/usr/sbin/postfix"):
        if not Path(program).exists():
            return f"{program} is not installed (apt-get install dovecot-imapd postfix)"
    return ""


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class MailServers:
    """The two running servers."""

    folder: Path
    imap_port: int
    smtp_port: int

    def send(self, to: str, raw: bytes, envelope: str = "citizen@example.test") -> None:
        """Hand a mail to postfix as a citizen's server would; ``envelope`` is the Return-Path."""
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=30) as smtp:
            smtp.sendmail(envelope, [to], raw)

    def send_many(self, to: str, mails: list[tuple[bytes, str]]) -> None:
        """The same for many mails over one connection: (mail, envelope sender) each."""
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=60) as smtp:
            for raw, envelope in mails:
                smtp.sendmail(envelope, [to], raw)

    def maildir(self, name: str) -> list[bytes]:
        """Every mail in the box of ``name``, read or not."""
        box = self.folder / "mail" / name
        return [p.read_bytes() for sub in ("new", "cur") for p in sorted((box / sub).glob("*"))]

    def queued(self) -> int:
        """Mails postfix has not delivered yet."""
        queues = ("incoming", "active", "deferred", "maildrop")
        return sum(1 for queue in queues for p in (self.folder / "queue" / queue).rglob("*") if p.is_file())


@contextmanager
def running(folder: Path) -> Iterator[MailServers]:
    """Start both servers in ``folder`` (short path: unix sockets live there) and stop them afterwards."""
    imap, smtp = free_port(), free_port()
    for name in ("run", "log", "mail", "etc", "queue", "lib"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    # The servers drop to users of their own and have to reach what is theirs.
    for parent in [folder, *folder.parents]:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    shutil.chown(folder / "mail", "mail", "mail")
    shutil.chown(folder / "lib", "postfix")
    uid, gid = (folder / "mail").stat().st_uid, (folder / "mail").stat().st_gid
    values = {"d": folder, "imap": imap, "smtp": smtp, "uid": uid, "gid": gid}
    (folder / "etc" / "dovecot.conf").write_text(_DOVECOT.format(**values))
    (folder / "etc" / "main.cf").write_text(_MAIN.format(**values))
    (folder / "etc" / "master.cf").write_text(_MASTER.format(**values))
    (folder / "etc" / "boxes").write_text("".join(f"{address} {box}/\n" for address, box in BOXES.items()))
    dovecot = subprocess.Popen(
        ["/usr/sbin/dovecot", "-c", str(folder / "etc" / "dovecot.conf"), "-F"], start_new_session=True
    )
    postfix = None
    try:
        started = subprocess.run(
            ["/usr/sbin/postfix", "-c", str(folder / "etc"), "start"], capture_output=True, text=True, timeout=60
        )
        if started.returncode:
            raise RuntimeError(f"postfix did not start: {started.stdout}{started.stderr}")
        postfix = True
        _wait_for(imap)
        _wait_for(smtp)
        yield MailServers(folder, imap, smtp)
    finally:
        if postfix:
            subprocess.run(["/usr/sbin/postfix", "-c", str(folder / "etc"), "stop"], capture_output=True, timeout=60)
        dovecot.send_signal(signal.SIGTERM)
        try:
            dovecot.wait(20)
        except subprocess.TimeoutExpired:
            dovecot.kill()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
