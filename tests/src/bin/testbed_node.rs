//! The testbed, as a process for these tests.

use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tenure_testbed::run().await
}
