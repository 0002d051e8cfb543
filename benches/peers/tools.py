"""The tools, each behind the same few verbs: forget everything, start the far end, synchronize, stop."""

import json
import os
import re
import shutil
import subprocess
import time

from links import Slow
from probe import run, started, stopped, timed

TOTALS = r"Total bytes (?:sent|received): ([\d,]+)"


class Tool:
    """`sync` gives seconds, bytes in both directions (None if nothing counts them), and peaks in MiB."""
    daemon = None

    def __init__(self, work):
        self.work = work

    def forget(self):
        """Both ends become machines that have never synchronized anything."""
        self.stop()

    def start(self, target, link):
        """Starts the far end, if there is one. `link` is None if both ends are local."""

    def stop(self):
        self.daemon = stopped(self.daemon)


class Syncline(Tool):
    name = "syncline"
    homes = {}

    def forget(self):
        self.stop()
        for end in ("client", "server"):
            home = self.work / f"home-{end}"
            shutil.rmtree(home, ignore_errors=True)
            self.homes[end] = dict(os.environ, SYNCLINE_HOME=str(home))

    def start(self, target, link):
        self.stop()
        self.link = link
        if link is None:
            return
        program = self.work / "syncline"
        peer = run(program, "id", env=self.homes["client"], stdout=subprocess.PIPE, text=True)
        run(program, "trust", peer.stdout.strip(), env=self.homes["server"], stdout=subprocess.DEVNULL)
        self.daemon = started(
            [*link.far, program, "serve", "--listen", f"{link.host}:0", "--module", f"bench={target}:rw"],
            env=self.homes["server"], stdout=subprocess.PIPE, text=True)
        line = self.daemon.stdout.readline()
        found = re.match(r"listening on (\S+) id (\S+)", line)
        if not found:
            raise SystemExit(f"the daemon said {line!r}")
        self.url = f"syncline://{found[1]}/bench/"

    def sync(self, source, target, options):
        words = [self.work / "syncline", "sync", "--json"]
        # A slow link is where compression adapts, so there it is as by default.
        if not isinstance(self.link, Slow):
            words += ["-z"] if "-z" in options else ["--no-compress"]
        words += ["--delete"] if "--delete" in options else []
        if self.link:
            words = [*self.link.near, *words, "--accept-new", f"{source}/", self.url]
        else:
            words += [f"{source}/", f"{target}/"]
        out, seconds, peaks = timed(words, self.homes["client"], self.daemon)
        summary = json.loads(out.strip().splitlines()[-1])
        return seconds, summary["wire_sent"] + summary["wire_received"], peaks


class Rsync(Tool):
    """rsync and its daemon, over TCP in the clear."""
    name = "rsync"

    def start(self, target, link):
        self.stop()
        self.link = link
        if link is None:
            return
        port = link.port()
        config = self.work / "rsyncd.conf"
        config.write_text("uid = root\ngid = root\nuse chroot = no\nmunge symlinks = no\nreverse lookup = no\n"
                          f"[bench]\npath = {target}\nread only = no\n")
        self.daemon = started(
            [*link.far, "rsync", "--daemon", "--no-detach", f"--config={config}", f"--address={link.host}",
             f"--port={port}"])
        self.url = f"rsync://{link.host}:{port}/bench/"
        answers(self.name, [*link.near, "rsync", self.url])

    def sync(self, source, target, options):
        words = ["rsync", "-a", "--stats", *options, f"{source}/", self.url if self.link else f"{target}/"]
        out, seconds, peaks = timed([*(self.link.near if self.link else []), *words], None, self.daemon)
        return seconds, sum(int(number.replace(",", "")) for number in re.findall(TOTALS, out)), peaks


class RsyncSsh(Tool):
    """rsync through ssh, to a server of our own with throwaway keys."""
    name = "rsync+ssh"

    def start(self, target, link):
        self.stop()
        keys = self.work / "ssh"
        if not keys.exists():
            keys.mkdir(mode=0o700)
            for name in ("host", "user"):
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name)
        os.makedirs("/run/sshd", exist_ok=True)
        port = link.port()
        (keys / "config").write_text(
            f"Port {port}\nListenAddress {link.host}\nHostKey {keys}/host\nPidFile none\nUsePAM yes\n"
            f"AuthorizedKeysFile {keys}/user.pub\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
            "PrintMotd no\nPrintLastLog no\n")
        self.daemon = started([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", keys / "config"])
        options = "-oBatchMode=yes -oStrictHostKeyChecking=no -oLogLevel=ERROR -oIdentitiesOnly=yes"
        self.shell = f"ssh -F none -p {port} -i {keys}/user -oUserKnownHostsFile={keys}/known {options}"
        self.place = f"root@{link.host}:{target}/"
        answers(self.name, [*self.shell.split(), f"root@{link.host}", "true"])

    def sync(self, source, target, options):
        out, seconds, peaks = timed(["rsync", "-a", "--stats", *options, "-e", self.shell, f"{source}/", self.place],
                                    None, self.daemon)
        return seconds, sum(int(number.replace(",", "")) for number in re.findall(TOTALS, out)), peaks


def answers(name, words):
    for _ in range(100):
        if subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.05)
    raise SystemExit(f"the daemon of {name} does not answer")


class Peer(Tool):
    """A tool that works between two local folders, with whatever it keeps in a folder of its own."""

    def forget(self):
        self.kept = self.work / f"kept-{self.name}"
        shutil.rmtree(self.kept, ignore_errors=True)
        self.kept.mkdir()
        self.env = dict(os.environ, HOME=str(self.kept), XDG_CACHE_HOME=str(self.kept / "cache"),
                        XDG_CONFIG_HOME=str(self.kept / "config"), UNISON=str(self.kept / "unison"),
                        BORG_BASE_DIR=str(self.kept / "borg"), RESTIC_PASSWORD="x",
                        TMPDIR=str(self.kept))
        self.number = 0
        self.create()

    def create(self):
        pass

    def sync(self, source, target, options):
        self.number += 1
        seconds, peak = 0.0, 0.0
        for words, cwd, accept in self.steps(source, target):
            if words is None:
                # A restored tree goes into an empty folder. Emptying it is not counted.
                for entry in os.scandir(target):
                    shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else os.unlink(entry)
                continue
            _, took, (near, _) = timed(words, self.env, cwd=cwd, accept=accept)
            seconds, peak = seconds + took, max(peak, near)
        return seconds, None, (peak, 0.0)

    def stop(self):
        pass


EMPTY = (None, None, None)


class Casync(Peer):
    """An index and a store of chunks, then extraction over the old target.

    Not with the old target for a seed: casync 2 then fails on a tree this large with a stale file handle.
    """
    name = "casync"

    def steps(self, source, target):
        index, store = self.kept / "tree.caidx", f"--store={self.kept / 'store.castr'}"
        return [(["casync", "make", store, index, source], None, (0,)),
                (["casync", "extract", "--seed-output=no", store, index, target], None, (0,))]


class Restic(Peer):
    """A backup into a repository, then a restore of it into the emptied target."""
    name = "restic"

    def create(self):
        run("restic", "-q", "-r", self.kept / "repository", "init", env=self.env, stdout=subprocess.DEVNULL)

    def steps(self, source, target):
        words = ["restic", "-q", "-r", self.kept / "repository"]
        return [([*words, "backup", "."], source, (0,)), EMPTY,
                ([*words, "restore", "latest", "--target", target], None, (0,))]


class Borg(Peer):
    """A backup into a repository, then an extraction of it into the emptied target."""
    name = "borg"

    def create(self):
        run("borg", "init", "-e", "none", self.kept / "repository", env=self.env)

    def steps(self, source, target):
        archive = f"{self.kept / 'repository'}::{self.number}"
        return [(["borg", "create", "--numeric-ids", archive, "."], source, (0,)), EMPTY,
                (["borg", "extract", "--numeric-ids", archive], target, (0,))]


class Unison(Peer):
    """Two roots, the source forced on the target."""
    name = "unison"

    def steps(self, source, target):
        return [(["unison", source, target, "-batch", "-silent", "-ui", "text", "-force", source, "-times",
                  "-owner", "-group", "-numericids", "-perms", "-1", "-confirmbigdel=false", "-log=false"],
                 None, (0,))]


class Rclone(Peer):
    """`rclone sync` between two local folders."""
    name = "rclone"

    def steps(self, source, target):
        return [(["rclone", "sync", "--links", "--metadata", "--create-empty-src-dirs", source, target],
                 None, (0,))]


# tool, its package, its program
PEERS = [(Casync, "casync", "casync"), (Restic, "restic", "restic"), (Borg, "borgbackup", "borg"),
         (Unison, "unison", "unison"), (Rclone, "rclone", "rclone")]
