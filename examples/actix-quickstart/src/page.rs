//! The pages, as text.

use actix_web::web::Html;

pub(crate) fn home(visits: u64, version: u64, user: Option<&str>) -> Html {
    let who = user.map_or_else(
        || LOGIN_FORM.to_owned(),
        |user| {
            let user = escape(user);
            format!("<p>Logged in as <strong>{user}</strong>.</p>{LOGOUT_FORM}")
        },
    );
    let times = if visits == 1 { "time" } else { "times" };
    page(&format!(
        "<p>You have been here {visits} {times}. <a href=\"/\">Once more</a></p>{who}\
         <p>This session is at version {version}. Each commit makes the next one.</p>"
    ))
}

/// Tells visitors what they entered wrong.
pub(crate) fn mistake(what: &str) -> Html {
    page(&format!("<p>{what}</p><p><a href=\"/\">Back</a></p>"))
}

fn page(main: &str) -> Html {
    Html::new(format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\">\
         <title>tenure on actix</title><main><h1>tenure on actix</h1>{main}</main></html>\n"
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
    <p>A demonstration: any name will do, no password is asked for.</p></form>";

const LOGOUT_FORM: &str = "<form method=post action=\"/logout\"><button>Log out</button></form>";
