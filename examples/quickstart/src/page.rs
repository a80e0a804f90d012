//! The pages, as text.

use axum::response::Html;

pub(crate) fn home(visits: u64, version: u64, user: Option<&str>) -> Html<String> {
    let who = user.map_or_else(
        || LOGIN_FORM.to_owned(),
        |user| {
            format!(
                "<p>Logged in as <strong>{}</strong>.</p>{LOGOUT_FORM}",
                escape(user)
            )
        },
    );
    let times = if visits == 1 { "time" } else { "times" };
    page(&format!(
        "<p class=count>{visits}</p>\
         <p>You have been here {visits} {times}. <a href=\"/\">Once more</a></p>\
         {who}\
         <footer>This session is at version {version}. Each commit makes the next one; your cookie \
         names the version that you have seen, so no node can show you an older one.</footer>"
    ))
}

/// Tells visitors what they entered wrong.
pub(crate) fn mistake(what: &str) -> Html<String> {
    page(&format!(
        "<p>{}</p><p><a href=\"/\">Back</a></p>",
        escape(what)
    ))
}

fn page(main: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\">\
         <title>tenure quickstart</title><style>{STYLE}</style>\
         <main><h1>tenure</h1>{main}</main></html>\n"
    ))
}

/// What visitors entered is text, never markup: also between quotation marks.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

const LOGIN_FORM: &str = "\
    <form method=post action=\"/login\">\
    <label>User name <input name=user autocomplete=username maxlength=255 required></label>\
    <button>Log in</button>\
    <p class=note>A demonstration: any name will do, no password is asked for.</p></form>";

const LOGOUT_FORM: &str = "<form method=post action=\"/logout\"><button>Log out</button></form>";

const STYLE: &str = "\
    :root { color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif }\
    body { margin: 0; display: grid; min-height: 100vh; place-items: center }\
    main { width: min(26rem, 100% - 3rem) }\
    h1 { font-size: 1rem; font-weight: 600; letter-spacing: .08em; opacity: .6 }\
    .count { font-size: 5rem; line-height: 1; margin: 0; font-variant-numeric: tabular-nums }\
    input, button { font: inherit; padding: .3rem .7rem }\
    .note, footer { font-size: .85rem; opacity: .7 }\
    footer { margin-top: 2.5rem; border-top: 1px solid; padding-top: .7rem }";
