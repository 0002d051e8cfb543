//! Symbolic and hard links: kept as they are, unless a flag says otherwise.

use crate::sync::Options;

#[derive(clap::Args)]
pub(super) struct Links {
    /// Keep symbolic links (default).
    #[arg(short, long, overrides_with = "no_links")]
    links: bool,

    /// Leave symbolic links out.
    #[arg(long, visible_alias = "no-l", overrides_with = "links")]
    no_links: bool,

    /// Send what symbolic links lead to, instead of them.
    #[arg(short = 'L', long)]
    copy_links: bool,

    /// Send what symbolic links to directories lead to.
    #[arg(short = 'k', long)]
    copy_dirlinks: bool,

    /// Send what symbolic links lead to that may lead out of SRC.
    #[arg(long)]
    copy_unsafe_links: bool,

    /// Leave out symbolic links that may lead out of SRC.
    #[arg(long)]
    safe_links: bool,

    /// Make symbolic links so that they lead nowhere; sent from here, such links become what they were.
    #[arg(long)]
    munge_links: bool,

    /// Let a symbolic link in DST stand for the directory that it leads to, wherever that is, if SRC has a directory of its
    /// name. Who can make links in DST chooses what is written to.
    #[arg(short = 'K', long)]
    keep_dirlinks: bool,

    /// Keep hard links (default).
    #[arg(short = 'H', long, overrides_with = "no_hard_links")]
    hard_links: bool,

    /// Make each name of a hard-linked file a file of its own; at DST such names are parted.
    #[arg(long, visible_alias = "no-H", overrides_with = "hard_links")]
    no_hard_links: bool,
}

impl Links {
    pub(super) fn apply(&self, options: &mut Options) {
        let view = &mut options.view;
        view.follow_all = self.copy_links;
        view.follow_dirs = self.copy_dirlinks;
        view.follow_unsafe = self.copy_unsafe_links;
        view.drop_unsafe = self.safe_links;
        view.drop_all = self.no_links;
        view.separate = self.no_hard_links;
        options.munge_links = self.munge_links;
        options.writing.dir_links = self.keep_dirlinks;
    }
}
