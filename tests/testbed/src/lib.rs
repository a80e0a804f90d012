//! One app with the same routes on every adapter.
//!
//! `cargo run -p tenure-testbed -- --help` tells the options, and the same of the routes as here.
//!
#![doc = include_str!("../routes.md")]

mod action;
mod actix_app;
mod admin;
mod app;
mod axum_app;
mod node;
mod options;
mod tower_app;

pub use self::{
    app::App,
    node::{Adapter, serve},
    options::{run, run_with},
};
