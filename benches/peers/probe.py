"""One command → seconds, the memory of both ends, its output."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

TIMEOUT = 3600
SAMPLE_SECONDS = 0.02


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def run(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, **options)


def words_of(output):
    return output.stdout.strip()


class Peak:
    """The largest high-water mark of resident memory of any one process below a process, sampled."""

    def __init__(self, top):
        self.top, self.kib, self.done = top, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.done.wait(SAMPLE_SECONDS):
            self.sample()

    def sample(self):
        for pid in self.processes():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            if found := re.search(r"VmHWM:\s+(\d+)", status):
                self.kib = max(self.kib, int(found[1]))

    def processes(self):
        waiting = [self.top]
        while waiting:
            pid = waiting.pop()
            yield pid
            try:
                waiting += [int(child) for child in
                            Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            except OSError:
                pass

    def stop(self):
        self.sample()
        self.done.set()
        self.thread.join()
        return self.kib / 1024


def timed(words, env=None, daemon=None, cwd=None, accept=(0,)):
    """Runs a client; gives its output, seconds, and the peaks of both ends in MiB."""
    far = Peak(daemon.pid) if daemon else None
    begin = time.perf_counter()
    client = subprocess.Popen([str(word) for word in words], env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    near = Peak(client.pid)
    try:
        out, err = client.communicate(timeout=TIMEOUT)
    except BaseException as error:
        client.kill()
        client.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise SystemExit(f"no end after {TIMEOUT} s: {' '.join(map(str, words))}") from None
        raise
    seconds = time.perf_counter() - begin
    peaks = (near.stop(), far.stop() if far else 0.0)
    if client.returncode not in accept:
        raise SystemExit(f"exit {client.returncode}: {' '.join(map(str, words))}\n{err[-2000:]}")
    return out, seconds, peaks


STARTED = []


def started(words, **options):
    """A process that stays, to be ended by `stopped`, or at the latest by `stop_all`."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
    STARTED.append(subprocess.Popen([str(word) for word in words], **options))
    return STARTED[-1]


def stop_all():
    while STARTED:
        stopped(STARTED[-1])


def stopped(process):
    """Ends a process of ours by its id, politely and then not."""
    if process:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        STARTED.remove(process)
    return None


def first_lines(command, *words):
    """The first 20 lines of a shell command's output, which may be endless; the words are its $1, $2, …"""
    return run("bash", "-c", f"{{ {command} ; }} 2>&1 | head -n 20", "compare", *words,
               stdout=subprocess.PIPE, text=True, errors="replace").stdout.splitlines()


def compare(source, target, tool):
    """Ends the run if the two trees differ: contents by diff, everything else by rsync's dry run."""
    wrong = first_lines('diff -rq --no-dereference "$1" "$2"', source, target)
    # What a tool does not keep by its nature is not held against it: lines with a dot are about attributes
    # only. Without chroot rsync's daemon rewrites some links' targets (`a/./b`).
    skip = {"syncline": "", "rsync": " | grep -v '^.L'"}.get(tool.name, " | grep -v '^\\.'")
    if tool.name == "rsync":
        wrong = [line for line in wrong if not line.startswith("Symbolic links")]
    wrong += first_lines(f'rsync -anHi --delete "$1/" "$2/"{skip}', source, target)
    if wrong:
        raise SystemExit(f"{tool.name} left differences:\n" + "\n".join(wrong))


def copies(source, work):
    """Seconds of a plain copy on the same file system: what no tool can be much faster than."""
    target = work / "floor"
    begin = time.perf_counter()
    run("cp", "-r", source, target)
    seconds = time.perf_counter() - begin
    run("rm", "-rf", target)
    return seconds


def bytes_of(*folders):
    return sum(os.lstat(os.path.join(place, name)).st_size
               for folder in folders for place, _, names in os.walk(folder) for name in names)
