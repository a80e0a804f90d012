//! The pages, as text.

use std::fmt::Write as _;

use axum::response::Html;
use tenure_axum::{SessionId, SessionInfo, Timestamp};

pub(crate) fn login(mistake: Option<&str>) -> Html<String> {
    page(&format!(
        "<h1>Log in</h1>{}<form method=post action=\"/login\">\
         <label>User name <input name=user autocomplete=username required></label>\
         <label>Password <input name=password type=password autocomplete=current-password required>\
         </label><button>Log in</button></form>\
         <p class=note>Try <code>ada</code> with <code>analytical-engine</code>.</p>",
        warning(mistake)
    ))
}

pub(crate) fn devices(
    user: &str,
    here: Option<SessionId>,
    devices: &[SessionInfo],
    mistake: Option<&str>,
) -> Html<String> {
    let mut list = String::new();
    for device in devices {
        let is_here = Some(device.login.session()) == here;
        let name = device.client.user_agent().unwrap_or("An unknown browser");
        let _ = write!(
            list,
            "<li><b>{}</b><br><span class=note>logged in {}, last seen {}</span>",
            escape(name),
            time(device.authenticated_at),
            time(device.seen_at)
        );
        if is_here {
            list.push_str("<p class=here>this device</p></li>");
        } else {
            let _ = write!(
                list,
                "<form method=post action=\"/end\"><input type=hidden name=login value=\"{}\">{PASSWORD}\
                 <button>Log out there</button></form></li>",
                device.login
            );
        }
    }
    page(&format!(
        "<h1>Devices of {}</h1>{}<ul>{list}</ul>\
         <form method=post action=\"/end-others\">{PASSWORD}<button>Log out everywhere else</button></form>\
         <form method=post action=\"/logout\"><button>Log out here</button></form>",
        escape(user),
        warning(mistake)
    ))
}

pub(crate) fn notice(text: &str) -> Html<String> {
    page(&format!(
        "<p>{}</p><p><a href=\"/\">Continue</a></p>",
        escape(text)
    ))
}

fn page(main: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\">\
         <title>tenure devices</title><style>{STYLE}</style><main>{main}</main></html>\n"
    ))
}

/// Minutes and seconds of the day in UTC are enough for a page that is looked at for minutes.
fn time(time: Timestamp) -> String {
    let seconds = time.as_millis() / 1000 % 86_400;
    format!(
        "at {:02}:{:02}:{:02} UTC",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn warning(mistake: Option<&str>) -> String {
    mistake.map_or_else(String::new, |text| {
        format!("<p class=warning>{}</p>", escape(text))
    })
}

/// What users and browsers say is text, never markup: also between quotation marks.
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

const PASSWORD: &str = "<label>Password <input name=password type=password \
    autocomplete=current-password required></label>";

const STYLE: &str = "\
    :root { color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif }\
    main { width: min(34rem, 100% - 3rem); margin: 12vh auto 4rem }\
    h1 { font-size: 1.5rem }\
    ul { list-style: none; padding: 0 }\
    li { border: 1px solid #8886; border-radius: .5rem; padding: .8rem 1rem; margin-bottom: .8rem; overflow-wrap: anywhere }\
    form { display: flex; flex-wrap: wrap; gap: .7rem; align-items: baseline; margin-top: .7rem }\
    input, button { font: inherit; padding: .3rem .7rem }\
    .here { margin: .3rem 0 0; font-weight: 600 }\
    .note { font-size: .85rem; opacity: .7 }\
    .warning { border-left: 4px solid #c33; padding-left: .7rem }";
