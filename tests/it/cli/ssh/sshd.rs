//! A server of ssh on loopback, with keys of its own, for one user: who runs the test.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use super::super::bench::{Bench, Ran};
use crate::bed::{can_run, is_root};

const PROGRAM: &str = env!("CARGO_BIN_EXE_syncline");

pub(super) struct Sshd {
    pub(super) bench: Bench,
    child: Child,
}

impl Sshd {
    /// Starts the server; says why not, if it cannot be had.
    pub(super) fn start() -> Option<Sshd> {
        if !can_run("sshd, ssh and ssh-keygen are needed", tools_are_there()) {
            return None;
        }
        if is_root() {
            // Where the server locks its unprivileged half in; it does not start without.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let bench = Bench::new();
        for key in ["host_key", "login_key"] {
            let path = bench.path(key);
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
            assert!(made.unwrap().success());
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let at = |name: &str| bench.path(name).to_str().unwrap().to_owned();
        bench.write(
            "sshd_config",
            format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\nStrictModes no\n\
                 PasswordAuthentication no\nUsePAM no\nPermitRootLogin yes\nSetEnv SYNCLINE_HOME={}\n",
                at("host_key"),
                at("login_key.pub"),
                at("far"),
            ),
        );
        // An alias: the address is ssh's to know.
        bench.write(
            "ssh_config",
            format!(
                "Host far\nHostName 127.0.0.1\nPort {port}\nIdentityFile {}\nIdentitiesOnly yes\nBatchMode yes\n\
                 UserKnownHostsFile /dev/null\nGlobalKnownHostsFile /dev/null\nStrictHostKeyChecking no\n\
                 LogLevel ERROR\n",
                at("login_key")
            ),
        );
        let log = fs::File::create(bench.path("sshd_log")).unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f", &at("sshd_config")]).stderr(log);
        let client_config = at("ssh_config");
        let sshd = Sshd { child: command.spawn().unwrap(), bench };
        for _ in 0..100 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let login = Command::new("ssh").args(["-F", &client_config, "far", "true"]).output().unwrap();
        let why = String::from_utf8_lossy(&login.stderr).trim().to_owned() + &sshd.bench.read("sshd_log");
        can_run(&format!("nobody can log in to the test's own sshd: {why}"), login.status.success())
            .then_some(sshd)
    }

    /// The program, which runs on the far side what the shell makes of `far`.
    pub(super) fn command_of(&self, far: &str, args: &[&str]) -> Command {
        let rsh = format!("ssh -F '{}'", self.bench.path("ssh_config").display());
        let mut command = self.bench.command("home", &[&["sync", "--syncline-path", far], args].concat());
        command.env("SYNCLINE_RSH", rsh);
        command
    }

    pub(super) fn run_of(&self, far: &str, args: &[&str]) -> Ran {
        Ran::of(self.command_of(far, args).output().unwrap())
    }

    /// Runs the program, and nothing may go wrong, nor be said.
    pub(super) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run_of(PROGRAM, args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}: {}", ran.out);
        ran
    }

    /// Runs the program, which fails with this code, and gives all that it said.
    pub(super) fn fails_of(&self, far: &str, code: i32, args: &[&str]) -> String {
        let ran = self.run_of(far, args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
        ran.err
    }

    /// A path of the far side, which is this machine.
    pub(super) fn at(&self, name: &str) -> String {
        format!("far:{}", self.bench.path(name).display())
    }

    /// A script for the far side, in which `$SYNCLINE` is the program.
    pub(super) fn script(&self, lines: &str) -> String {
        let path = self.bench.path("script");
        fs::write(
            &path,
            format!("#!/bin/sh\nSYNCLINE='{PROGRAM}'\ncd '{}'\n{lines}\n", self.dir().display()),
        )
        .unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(super) fn dir(&self) -> std::path::PathBuf {
        self.bench.path("")
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tools_are_there() -> bool {
    let found = |output: std::io::Result<Output>| output.is_ok();
    let quiet = |program: &str| Command::new(program).arg("-V").stdin(Stdio::null()).output();
    Path::new("/usr/sbin/sshd").exists() && found(quiet("ssh")) && found(quiet("ssh-keygen"))
}
