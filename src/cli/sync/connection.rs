//! How the other machine is reached, and how bytes go there.

use std::time::Duration;

use super::super::connect::Wish;
use super::super::rate;
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

    /// Give up when the other machine is silent for so long; 0 is the default, 30.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
}

/// Bytes a second; `None` is no limit.
type Rate = Option<u64>;

impl Connection {
    pub(super) fn wish(&self) -> Wish {
        let timeout = self.timeout.filter(|seconds| *seconds > 0);
        Wish {
            accept_new: self.accept_new,
            timeout: timeout.map(|seconds| Duration::from_secs(seconds.into())),
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
