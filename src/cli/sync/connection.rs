//! How the other machine is reached, and how bytes go there.

use std::time::Duration;

use super::super::connect::Wish;
use super::super::{rate, ssh};
use crate::sync::{Compress, Options};

#[derive(clap::Args)]
pub(super) struct Connection {
    /// Believe, and remember, the key of a server that was not met before. A key that changed never is.
    #[arg(long)]
    accept_new: bool,

    /// Send at most RATE a second: KiB, or with a unit K, M, G.
    #[arg(long, value_name = "RATE", value_parser = rate::parse)]
    bwlimit: Option<Rate>,

    /// Compress always, at zstd's LEVEL of 1 to 19 (3 if not said). Else only where the link is the bottleneck.
    #[arg(short = 'z', long, value_name = "LEVEL", num_args = 0..=1, require_equals = true,
          default_missing_value = "3", value_parser = clap::value_parser!(i32).range(1..=19))]
    compress: Option<i32>,

    /// Never compress.
    #[arg(long, conflicts_with = "compress")]
    no_compress: bool,

    /// Give up when the other machine is silent for so long; 0 is the default, 60.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,

    /// Give up if there is no connection after so long, questions that ssh asks included; 0 is the default: 15 for
    /// a daemon, and as long as ssh itself waits.
    #[arg(long, value_name = "SECONDS")]
    contimeout: Option<u32>,

    /// Run COMMAND for ssh, with arguments, such as 'ssh -p 2222'. Else what SYNCLINE_RSH says, or ssh.
    #[arg(short = 'e', long, value_name = "COMMAND")]
    rsh: Option<String>,

    /// What to run on the far side of ssh; the shell there reads it, so that 'sudo syncline' does.
    #[arg(long, value_name = "PROGRAM", value_parser = program)]
    syncline_path: Option<String>,

    /// Let the session go through ssh. Else it goes over UDP, encrypted, with keys agreed on over ssh, if UDP gets
    /// through within 3 seconds.
    #[arg(long)]
    no_udp: bool,
}

/// A command that no ssh can take for an option.
fn program(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("no program".to_owned()),
        program if program.starts_with('-') => Err("a program does not begin with -".to_owned()),
        program => Ok(program.to_owned()),
    }
}

/// Bytes a second; `None` is no limit.
type Rate = Option<u64>;

impl Connection {
    pub(super) fn wish(&self) -> Wish {
        let (timeout, contimeout) = (seconds(self.timeout), seconds(self.contimeout));
        Wish { accept_new: self.accept_new, timeout, contimeout }
    }

    pub(super) fn ssh(&self) -> ssh::Wish {
        ssh::Wish {
            rsh: self.rsh.clone(),
            program: self.syncline_path.clone(),
            udp: !self.no_udp,
            contimeout: seconds(self.contimeout),
            timeout: seconds(self.timeout),
        }
    }

    pub(super) fn apply(&self, options: &mut Options) {
        options.compress = match self.compress {
            Some(level) => Compress::Always(level),
            None if self.no_compress => Compress::Never,
            None => Compress::Adaptive,
        };
        options.bandwidth_max = self.bwlimit.flatten();
    }
}

/// A time; 0 is what is usual.
fn seconds(given: Option<u32>) -> Option<Duration> {
    given.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()))
}
