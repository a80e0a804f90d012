//! `cargo xtask chaos -- --help` tells the options. As `tenure-chaos node …` it is one of its own nodes.

use std::{error::Error, process::ExitCode};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut words: Vec<_> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "node") {
        words.remove(1);
        tenure_testbed::run_with(words).await?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(tenure_chaos::run().await?)
}
