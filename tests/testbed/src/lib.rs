//! One app with the same routes on every adapter.
//!
//! `cargo run -p tenure-testbed -- --help` tells the options. All routes answer GET with a text body:
//!
//! | route | does |
//! |---|---|
//! | `/plain` | never touches the session |
//! | `/read` | prints `count` (0 if absent) |
//! | `/incr?ms=N` | `update("count", +1)`, sleeping N ms between load and return; prints the new value |
//! | `/incr-now?ms=N` | the same, then `commit().await`; prints the committed value |
//! | `/incr-naive?ms=N` | `get`, sleep N ms, `insert` |
//! | `/set/{key}/{value}?ms=N` | loads, sleeps N ms, inserts a string |
//! | `/get/{key}` | prints the value or `-` |
//! | `/keys` | prints how many keys the session holds |
//! | `/login/{user}?ms=N`, `/logout?ms=N`, `/rotate?ms=N` | bind and rotate, destroy, rotate; the sleep lies between load and act |
//! | `/login-remembered/{user}?ms=N` | as `/login`, for a user who asked to be remembered |
//! | `/whoami` | prints the principal or `-` |
//! | `/boom` | inserts, then answers 500 |
//! | `/version` | prints the session's version counter, 0 without a session |
//! | `/fill/{bytes}` | inserts that many random bytes under `blob` |
//! | `/public` | reads `count` and answers with `Cache-Control: public` and what else invites caches |
//! | `/logout-boom` | destroys, then answers 500 |
//! | `/asset` | never touches the session and answers with the fields of `/public` |
//! | `/cookies` | as `/incr`, and sets two cookies of its own: `theme`, and one with the session's name |
//! | `/grpc/{code}` | as `/incr`, and answers with that `grpc-status` in the head |
//! | `/stats` | prints what the near cache has done, as JSON; `null` without one |
//! | `/headers` | prints the request's head as `Debug` does, as a log would |

mod action;
mod actix_app;
mod app;
mod axum_app;
mod node;
mod options;
mod tower_app;

pub use self::{
    app::App,
    node::{Adapter, serve},
    options::run,
};
