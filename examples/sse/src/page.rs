//! The page, as text.

use axum::response::Html;

pub(crate) fn home(added: u64) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\">\
         <title>tenure events</title><style>{STYLE}</style>\
         <main><p id=added class=count>{added}</p>\
         <p><button id=add>Add one</button> <button id=end>End the session</button></p>\
         <p id=status role=status>connecting</p>\
         <dl><dt>What the handler changed before the stream began</dt><dd id=opened></dd>\
         <dt>What became of a change from within the stream</dt><dd id=late></dd></dl></main>\
         <script>{SCRIPT}</script></html>\n"
    ))
}

const SCRIPT: &str = r"
    const show = (id, text) => { document.getElementById(id).textContent = text };
    // By itself it connects again when a stream breaks off.
    const events = new EventSource('/events');
    events.onopen = () => show('status', 'watching');
    events.onerror = () => show('status', 'connecting again');
    for (const name of ['added', 'opened', 'late']) {
        events.addEventListener(name, event => show(name, event.data));
    }
    events.addEventListener('ended', event => {
        events.close();
        show('status', event.data + '; load the page again to begin another');
    });
    // A change is a request of its own, with a status and a cookie of its own.
    for (const name of ['add', 'end']) {
        document.getElementById(name).onclick = async () => {
            const response = await fetch('/' + name, { method: 'POST' });
            if (!response.ok) show('status', 'not done: ' + response.status);
        };
    }
";

const STYLE: &str = "\
    :root { color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif }\
    main { width: min(26rem, 100% - 3rem); margin: 15vh auto 0 }\
    .count { font-size: 5rem; line-height: 1; margin: 0; font-variant-numeric: tabular-nums }\
    button { font: inherit; padding: .3rem .7rem }\
    dl { font-size: .85rem; opacity: .7; margin-top: 2.5rem }\
    dd { margin: 0 0 .7rem }";
