"""The workloads: what is synchronized, from which state, over which link, against whom, and what is aimed at."""

from dataclasses import dataclass, field

from inputs import NEW, OLD
from links import Loopback, Slow

STEP = f"{OLD} → {NEW} --delete"


@dataclass
class Workload:
    name: str
    title: str
    # Which of the inputs.
    data: str
    # copy: into an empty folder. still: what is there is equal, and was made by the same tool. step: from before
    # to after. met: as step, but the two ends never met. rename: a directory gets another name at the source.
    kind: str
    # loopback, local, slow, lossy
    link: str = "loopback"
    options: tuple = ()
    # Whom to compare with, and what is aimed at: ratios of time and of bytes.
    against: dict = field(default_factory=lambda: {"rsync": (None, None)})
    # Whether the peers without a link of their own run too.
    peers: bool = False

    def full_title(self):
        where = {"loopback": "", "local": ", both ends local", "slow": ", 50 ms 100 Mbit/s",
                 "lossy": ", 50 ms 100 Mbit/s 0.5 % loss"}[self.link]
        compressed = ", -z" if "-z" in self.options else ""
        return f"{self.name} {self.title}{where}{compressed}"


def goal(time, size):
    return {"rsync": (time, size)}


ALL = [
    Workload("W1", "initial copy", "linux", "copy", against=goal(0.4, None), peers=True),
    Workload("W1z", "initial copy", "linux", "copy", options=("-z",), against=goal(None, 1.0)),
    Workload("W2", "nothing changed", "linux", "still", against=goal(0.3, 0.01), peers=True),
    Workload("W3", STEP, "linux", "step", options=("--delete",), against=goal(0.15, None), peers=True),
    Workload("W3z", STEP, "linux", "step", options=("--delete", "-z"), against=goal(None, 0.06)),
    Workload("W4", "1 GiB random, 1 byte inserted in front", "random", "step", against=goal(0.6, 0.03), peers=True),
    Workload("W4z", "1 GiB random, 1 byte inserted in front", "random", "step", options=("-z",),
             against=goal(None, 0.03)),
    Workload("W4c", "the same, the two ends never met before", "random", "met"),
    Workload("W5", "1 GiB random, initial copy", "random", "copy",
             against={"rsync": (1.3, None), "rsync+ssh": (0.8, None)}),
    Workload("W6", f"one tar {OLD} → {NEW}", "tar", "step", against=goal(0.5, None)),
    Workload("W6z", f"one tar {OLD} → {NEW}", "tar", "step", options=("-z",), against=goal(None, 0.4)),
    Workload("W7", "32 MiB random, 1 % overwritten in runs of 16 to 64 bytes", "edited", "step",
             against=goal(0.8, 0.8)),
    Workload("W8t", "npm typescript 5.8.2 → 5.8.3 --delete", "npm-typescript", "step", options=("--delete", "-z"),
             against=goal(0.5, 0.5)),
    Workload("W8d", "npm date-fns 4.1.0 → 4.4.0 --delete", "npm-date-fns", "step", options=("--delete", "-z"),
             against=goal(0.5, 0.5)),
    Workload("W9", "directory of 1 GiB in 1000 files renamed --delete", "renamed", "rename",
             options=("--delete",), against=goal(0.1, 0.001)),
    Workload("W10", "a million files, nothing changed, on disk", "many", "still"),
    Workload("L1", "initial copy", "linux", "copy", "local"),
    Workload("L2", "nothing changed", "linux", "still", "local"),
    Workload("L3", STEP, "linux", "step", "local", ("--delete",)),
]
for suffix, link in (("s", "slow"), ("l", "lossy")):
    aims = (lambda time: goal(time, None)) if link == "slow" else (lambda time: goal(None, None))
    ALL += [
        Workload(f"W1{suffix}", "initial copy", "linux", "copy", link, ("-z",), aims(0.8)),
        Workload(f"W2{suffix}", "nothing changed", "linux", "still", link, (), aims(0.05)),
        Workload(f"W3{suffix}", STEP, "linux", "step", link, ("--delete", "-z"), aims(0.1)),
        Workload(f"W4{suffix}", "1 GiB random, 1 byte inserted in front", "random", "step", link, (), aims(0.5)),
        Workload(f"W8t{suffix}", "npm typescript 5.8.2 → 5.8.3 --delete", "npm-typescript", "step", link,
                 ("--delete", "-z"), aims(None)),
        Workload(f"W8d{suffix}", "npm date-fns 4.1.0 → 4.4.0 --delete", "npm-date-fns", "step", link,
                 ("--delete", "-z"), aims(None)),
    ]

WORKLOADS = {workload.name: workload for workload in ALL}
SLOW = {"slow": (50, 100, 0.0), "lossy": (50, 100, 0.005)}


def link_of(workload, forwarder):
    if workload.link in SLOW:
        return Slow(forwarder, *SLOW[workload.link])
    return None if workload.link == "local" else Loopback()
