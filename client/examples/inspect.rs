//! Shows what a TLSNotary presentation proves to a strict third party, and whom it has to trust for that.
//!
//! `cargo run -p tercet-client --example inspect -- PRESENTATION [NOTARY_KEY]..`

use std::error::Error;
use std::path::PathBuf;

use tercet_client::inspect::{Trust, inspect_file, printable};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let file: PathBuf = args.next().ok_or("give the file of a presentation")?.into();
    // Without a key every notary counts, and the report warns of it.
    let trust = Trust { notaries: args.collect(), roots: Vec::new() };
    let report = inspect_file(&file, &trust)?;
    print!("{}", printable(&report.to_text()));
    Ok(())
}
