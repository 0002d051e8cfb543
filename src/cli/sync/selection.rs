//! Which files take part.

use super::rules::RuleArgs;
use crate::scan::Select;
use crate::sync::Options;

#[derive(clap::Args)]
pub(super) struct Selection {
    #[command(flatten)]
    rules: RuleArgs,
}

impl Selection {
    pub(super) fn apply(&self, options: &mut Options) -> anyhow::Result<()> {
        options.select =
            Select { rules: self.rules.rules()?, nul_ends_lines: self.rules.from0, ..Select::default() };
        Ok(())
    }
}
