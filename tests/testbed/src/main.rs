//! `cargo run -p tenure-testbed -- --help` tells the options, the library's page the routes.

use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tenure_testbed::run().await
}
