//! The pages, as text.

use axum::response::Html;

pub(crate) fn login(mistake: Option<&str>) -> Html<String> {
    page(&format!(
        "{}<form method=post action=\"/login\">\
         <label>User name <input name=user autocomplete=username required></label>\
         <label>Password <input name=password type=password autocomplete=current-password required>\
         </label><label><input name=remember type=checkbox> Keep me logged in</label>\
         <button>Log in</button></form>\
         <p class=note>Try <code>ada</code> with <code>analytical-engine</code>.</p>",
        warning(mistake)
    ))
}

pub(crate) fn welcome(user: &str) -> Html<String> {
    page(&format!("<p>Hello, {}.</p>{LINKS}", escape(user)))
}

pub(crate) fn account(user: &str, nickname: Option<&str>) -> Html<String> {
    page(&format!(
        "<p>This is the account of {}.</p><form method=post action=\"/rename\">\
         <label>Call me <input name=nickname maxlength=40 value=\"{}\"></label>\
         <button>Save</button></form>{LINKS}",
        escape(user),
        escape(nickname.unwrap_or_default())
    ))
}

pub(crate) fn unlock(mistake: Option<&str>) -> Html<String> {
    page(&format!(
        "{}<p>This needs a second factor.</p><form method=post action=\"/unlock\">\
         <label>Code <input name=code inputmode=numeric autocomplete=one-time-code required></label>\
         <button>Unlock</button></form><p class=note>Ada's is <code>1852</code>.</p>{LINKS}",
        warning(mistake)
    ))
}

pub(crate) fn admin(user: &str) -> Html<String> {
    page(&format!(
        "<p>{} may see this: the engine weaves algebraic patterns.</p>{LINKS}",
        escape(user)
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
         <title>tenure login</title><style>{STYLE}</style><main>{main}</main></html>\n"
    ))
}

fn warning(mistake: Option<&str>) -> String {
    mistake.map_or_else(String::new, |text| {
        format!("<p class=warning>{}</p>", escape(text))
    })
}

/// What users entered is text, never markup: also between quotation marks.
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

const LINKS: &str = "\
    <nav><a href=\"/account\">Account</a> <a href=\"/admin\">Administration</a>\
    <form method=post action=\"/logout\"><button>Log out</button></form></nav>";

const STYLE: &str = "\
    :root { color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif }\
    main { width: min(26rem, 100% - 3rem); margin: 20vh auto 0 }\
    label { display: block; margin-bottom: .7rem }\
    input, button { font: inherit; padding: .3rem .7rem }\
    nav { display: flex; gap: 1rem; align-items: baseline; margin-top: 2.5rem }\
    .note { font-size: .85rem; opacity: .7 }\
    .warning { border-left: 4px solid #c33; padding-left: .7rem }";
