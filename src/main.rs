//! The `syncline` program.
use std::sync::Arc;
use syncline::sync::{Options, Place, sync_dirs};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut options = Options::default();
    if let Ok(home) = std::env::var("SYNCLINE_HOME") {
        options.cache = Some(Arc::new(syncline::scan::Cache::new(home.into())));
    }
    options.delete = args.iter().any(|a| a == "--delete");
    let from = Place::open(args[1].as_ref()).unwrap();
    let to = Place::open_or_create(args[2].as_ref()).unwrap();
    let summary = sync_dirs(from, to, &options);
    eprintln!("{summary:#?}");
}
