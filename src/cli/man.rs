//! `syncline man`

use super::Done;

/// Print the manual page, in roff: all verbs on one page.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: Args) -> Done {
    let mut command = super::command();
    command.build();
    let mut out = std::io::stdout().lock();
    let page = clap_mangen::Man::new(command.clone());
    page.render(&mut out)?;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let page = clap_mangen::Man::new(verb.clone());
        page.render_synopsis_section(&mut out)?;
        page.render_description_section(&mut out)?;
        page.render_options_section(&mut out)?;
    }
    Ok(0)
}
