//! tenure: its own testbed, built beside the others.

use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tenure_testbed::run().await
}
