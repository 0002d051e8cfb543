"""What is measured: names → folders (before, after) on the tmpfs, each made when first asked for.

Everything downloaded is checked by SHA-256, everything made up comes from a seed.
"""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from probe import run, say

OLD, NEW = "6.1.170-3", "6.1.176-1"
PACKAGES = {
    OLD: "0543813917cb88087d40385c0ac2581eac5cf61911e5a53258ff7997fa621478",
    NEW: "9305d1a151b8e83dcb88aa11361e7b9513f0c252bdf7f5647e4542762d99c094",
}
NPM = {
    ("typescript", "5.8.2"): "ef938a45323df5775664ea5d55e8bc0ab2027a40db1ff857bb957fe7bbaa4434",
    ("typescript", "5.8.3"): "72e75dbeb92c2e6eb9a34cb59d74fab5c2ee6f32a0324a89405f6165d5a08374",
    ("date-fns", "4.1.0"): "90718290bbf34bf3d0c80bb70456e0069e0cc547caccaf1464fe42f1f602c460",
    ("date-fns", "4.4.0"): "eb106d1e9276213d6144b221c103e4abb7d92186734f7505f5a3860427b41a06",
}
SEED = 2026
GIB = 1 << 30
EDITED_FILE_BYTES = 32 << 20
EDITED_PART = 0.01
RENAMED_FILES = 1000
MANY_FOLDERS, MANY_FILES = 1000, 1000
# What an edit leaves: another time. (Random files differ in nothing else that a quick look would see.)
BEFORE = (1_700_000_000, 1_700_000_000)


class Inputs:
    def __init__(self, work, disk):
        self.work, self.disk, self.made = work, disk, {}

    def get(self, name):
        """Two folders, before and after; the same folder twice if nothing changes."""
        if name not in self.made:
            say(f"preparing {name}")
            self.made[name] = getattr(self, name.replace("-", "_"))()
        return self.made[name]

    def keep(self, names):
        """Removes what no coming workload needs."""
        for name in set(self.made) - set(names):
            for folder in self.made.pop(name):
                shutil.rmtree(folder, ignore_errors=True)

    def folder(self, name):
        folder = self.work / name
        folder.mkdir()
        return folder

    def linux(self):
        return tuple(unpacked(version, self.folder(version)) for version in (OLD, NEW))

    def random(self):
        """One file of 1 GiB; and the same behind one byte more."""
        old, new, source = self.folder("random-old"), self.folder("random-new"), random.Random(SEED)
        with open(old / "data.bin", "wb") as before, open(new / "data.bin", "wb") as after:
            after.write(b"!")
            for _ in range(GIB >> 20):
                block = source.randbytes(1 << 20)
                before.write(block)
                after.write(block)
        os.utime(old / "data.bin", BEFORE)
        return old, new

    def tar(self):
        """Each tree of Linux as one archive, under one name: sorted, owned by root."""
        folders = []
        for version in (OLD, NEW):
            have = os.environ.get("SYNCLINE_BENCH_DATA")
            tree = Path(have) / version if have else unpacked(version, self.folder(f"tar-{version}-tree"))
            folder = self.folder(f"tar-{version}")
            run("tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu",
                "-C", tree, "-cf", folder / "linux.tar", ".")
            folders.append(folder)
            if not have:
                shutil.rmtree(tree)
        os.utime(folders[0] / "linux.tar", BEFORE)
        return tuple(folders)

    def edited(self):
        """32 MiB of random bytes, then 1 % of them overwritten by runs of 16 to 64 others at random places.

        That is some 8,400 runs: about 16 in each 64 KiB. Runs may overlap; the length stays.
        """
        old, new, source = self.folder("edited-old"), self.folder("edited-new"), random.Random(SEED)
        data = bytearray(source.randbytes(EDITED_FILE_BYTES))
        (old / "data.bin").write_bytes(data)
        os.utime(old / "data.bin", BEFORE)
        left = int(EDITED_FILE_BYTES * EDITED_PART)
        while left > 0:
            length = min(source.randint(16, 64), left)
            place = source.randrange(EDITED_FILE_BYTES - length)
            data[place:place + length] = source.randbytes(length)
            left -= length
        (new / "data.bin").write_bytes(data)
        return old, new

    def npm_typescript(self):
        return self.npm("typescript", "5.8.2", "5.8.3")

    def npm_date_fns(self):
        return self.npm("date-fns", "4.1.0", "4.4.0")

    def npm(self, package, *versions):
        """Two versions unpacked. npm's archives have one constant time, by which rsync would take changed
        files of equal size for unchanged: the new version's files get the time of now."""
        folders = []
        for version in versions:
            folder = self.folder(f"npm-{package}-{version}")
            archive = download(f"https://registry.npmjs.org/{package}/-/{package}-{version}.tgz",
                               NPM[package, version])
            run("tar", "-xzf", archive, "--no-same-owner", "-C", folder)
            folders.append(folder)
        run("find", folders[1], "-type", "f", "-exec", "touch", "{}", "+")
        return tuple(folders)

    def renamed(self):
        """1000 random files, 1 GiB: before is the folder itself, whose directory the workload renames."""
        folder, source = self.folder("renamed"), random.Random(SEED)
        inner = folder / "photos"
        inner.mkdir()
        for number in range(RENAMED_FILES):
            (inner / f"img_{number:04}.raw").write_bytes(source.randbytes(source.randint(GIB // 2000, GIB * 3 // 2000)))
        return folder, folder

    def many(self):
        """A million files of about 100 bytes in 1000 directories, on disk: a page each, they fill a tmpfs."""
        folder, source = self.disk / "many", random.Random(SEED)
        folder.mkdir()
        for outer in range(MANY_FOLDERS):
            inner = folder / f"d{outer:03}"
            inner.mkdir()
            text = source.randbytes(200).hex().encode()
            for number in range(MANY_FILES):
                handle = os.open(inner / f"f{number:03}", os.O_WRONLY | os.O_CREAT, 0o644)
                os.write(handle, b"%06d %s\n" % (outer * MANY_FILES + number, text[:60 + number % 64]))
                os.close(handle)
        return folder, folder


def cache():
    folder = Path(os.environ.get("SYNCLINE_BENCH_CACHE", Path.home() / ".cache" / "syncline-bench"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def checked(path, expected):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        sys.exit(f"{path}: not the file that was measured before: remove it, or check your mirror")
    return path


def download(url, expected):
    path = cache() / url.rsplit("/", 1)[1]
    if not path.exists():
        say(f"fetching {url}")
        part = path.with_suffix(".part")
        with urllib.request.urlopen(url, timeout=60) as answer, open(part, "wb") as file:
            shutil.copyfileobj(answer, file)
        part.rename(path)
    return checked(path, expected)


def debian_source(version):
    """The Debian package of that version, from the cache or the mirrors that apt knows."""
    name = f"linux-source-6.1_{version}_all.deb"
    path = cache() / name
    if not path.exists():
        say(f"fetching {name}")
        command = ["apt-get", "download", "-o", "APT::Sandbox::User=root", f"linux-source-6.1={version}"]
        if subprocess.run(command, cwd=cache()).returncode != 0:
            run("apt-get", "update", stdout=sys.stderr)
            if subprocess.run(command, cwd=cache()).returncode != 0:
                sys.exit(f"no mirror has {name} any more: put it into {cache()}, from snapshot.debian.org")
    return checked(path, PACKAGES[version])


def unpacked(version, target):
    """The source tree of that version, in that empty folder."""
    have = os.environ.get("SYNCLINE_BENCH_DATA")
    if have:
        run("cp", "-a", f"{have}/{version}/.", target)
    else:
        run("bash", "-o", "pipefail", "-c",
            'dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/src/linux-source-6.1.tar.xz'
            ' | tar -xJ --strip-components=1 -C "$2"', "unpack", debian_source(version), target)
    return target
