"""Where the two ends are: on loopback, or in two namespaces with a slow link between them."""

import json
import os
import socket
import subprocess

from probe import run, started, stopped


class Loopback:
    """Both ends in this namespace."""
    host, near, far = "127.0.0.1", [], []

    def port(self):
        with socket.socket() as probe:
            probe.bind((self.host, 0))
            return probe.getsockname()[1]

    def crossed(self):
        """Bytes that have crossed so far, if this link counts them."""
        return None

    def close(self):
        pass


class Slow:
    """Two namespaces, and the forwarder of benches/wan between them."""
    host = "10.77.0.2"

    def __init__(self, forwarder, rtt_ms, mbit, loss):
        self.names = [f"syncline-{end}-{os.getpid()}" for end in ("near", "far")]
        self.near, self.far = (["ip", "netns", "exec", name] for name in self.names)
        self.forwarder, made = None, []
        try:
            for name in self.names:
                run("ip", "netns", "add", name)
                made.append(name)
                run("ip", "-n", name, "link", "set", "lo", "up")
            self.forwarder = started(
                [forwarder, *self.names, "--rtt-ms", str(rtt_ms), "--mbit", str(mbit), "--loss", str(loss)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if self.forwarder.stdout.readline() != "ready\n":
                raise SystemExit("the slow link does not come up")
            for name, own, other in ((self.names[0], "10.77.0.1", self.host), (self.names[1], self.host, "10.77.0.1")):
                run("ip", "-n", name, "addr", "add", own, "peer", other, "dev", "wan0")
                run("ip", "-n", name, "link", "set", "wan0", "mtu", "1500", "txqueuelen", "1000", "up")
        except BaseException:
            self.close()
            raise

    def port(self):
        return 8730

    def crossed(self):
        self.forwarder.stdin.write("\n")
        self.forwarder.stdin.flush()
        counted = json.loads(self.forwarder.stdout.readline())
        return counted["bytes_sent"] + counted["bytes_received"]

    def close(self):
        self.forwarder = stopped(self.forwarder)
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
