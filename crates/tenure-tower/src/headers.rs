//! What the manager says about a response, put into header fields.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, HeaderName, InvalidHeaderValue, SET_COOKIE, VARY},
};
use tenure_core::{Finish, needs_vary_cookie, private_cache_control, sets_cookie};

pub(crate) fn apply(finish: Finish, cookie_name: &str, headers: &mut HeaderMap) {
    if finish.is_personal {
        if let Some(value) = private_cache_control(texts(headers, &CACHE_CONTROL))
            && let Ok(value) = header_value(value)
        {
            headers.insert(CACHE_CONTROL, value);
        }
        if needs_vary_cookie(texts(headers, &VARY)) {
            headers.append(VARY, HeaderValue::from_static("cookie"));
        }
    }
    if let Some(cookie) = finish.set_cookie
        && let Ok(mut cookie) = HeaderValue::try_from(cookie)
    {
        remove_cookie(headers, cookie_name);
        cookie.set_sensitive(true);
        headers.append(SET_COOKIE, cookie);
    }
}

/// Fields that are not text are treated as absent: they can contain no directive.
fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
}

fn header_value(text: Cow<'static, str>) -> Result<HeaderValue, InvalidHeaderValue> {
    match text {
        Cow::Borrowed(text) => Ok(HeaderValue::from_static(text)),
        Cow::Owned(text) => HeaderValue::try_from(text),
    }
}

/// A response must not set the same cookie twice (RFC 6265bis §4.1.1).
fn remove_cookie(headers: &mut HeaderMap, name: &str) {
    let is_ours = |value: &HeaderValue| sets_cookie(value, name);
    let fields = headers.get_all(SET_COOKIE);
    if fields.iter().any(is_ours) {
        let others: Vec<_> = fields
            .iter()
            .filter(|value| !is_ours(value))
            .cloned()
            .collect();
        headers.remove(SET_COOKIE);
        for other in others {
            headers.append(SET_COOKIE, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(set_cookie: Option<&str>) -> Finish {
        let mut finish = Finish::default();
        finish.set_cookie = set_cookie.map(str::to_owned);
        finish.is_personal = true;
        finish
    }

    #[test]
    fn s10_a_response_sets_our_cookie_once_and_keeps_the_others() {
        let mut headers = HeaderMap::new();
        for cookie in ["session=old", "theme=dark", "session2=x", "session=older"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        apply(finish(Some("session=new; Path=/")), "session", &mut headers);
        let ours = headers.get_all(SET_COOKIE).iter().next_back();
        assert!(ours.is_some_and(HeaderValue::is_sensitive));
        let cookies: Vec<_> = texts(&headers, &SET_COOKIE).collect();
        assert_eq!(cookies, ["theme=dark", "session2=x", "session=new; Path=/"]);
    }

    #[test]
    fn s30_a_personal_response_is_kept_out_of_shared_caches() {
        let mut headers = HeaderMap::new();
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=60"),
        );
        headers.insert(VARY, HeaderValue::from_static("accept"));
        apply(finish(None), "session", &mut headers);
        assert_eq!(headers[CACHE_CONTROL], "private, max-age=60");
        assert_eq!(
            texts(&headers, &VARY).collect::<Vec<_>>(),
            ["accept", "cookie"]
        );
    }

    #[test]
    fn a_response_that_never_saw_the_session_is_left_alone() {
        let mut headers = HeaderMap::new();
        apply(Finish::default(), "session", &mut headers);
        assert!(headers.is_empty());
    }
}
