//! What the manager says about a response, put into header fields.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderValue, Response,
    header::{CACHE_CONTROL, HeaderName, InvalidHeaderValue, SET_COOKIE, VARY},
};
use tenure_core::{
    Finish, invites_caches, needs_vary_cookie, outcome_status, private_cache_control, sets_cookie,
};

/// How the request went, as far as the head of its response tells.
pub(crate) fn status<B>(response: &Response<B>) -> u16 {
    let grpc_status = response.headers().get(&GRPC_STATUS);
    outcome_status(response.status().as_u16(), grpc_status)
}

pub(crate) fn apply(finish: Finish, cookie_name: &str, headers: &mut HeaderMap) {
    if finish.is_personal {
        if let Some(value) = private_cache_control(texts(headers, &CACHE_CONTROL))
            && let Ok(value) = header_value(value)
        {
            headers.insert(CACHE_CONTROL, value);
        }
        remove_invitations(headers);
        if needs_vary_cookie(texts(headers, &VARY)) {
            headers.append(VARY, HeaderValue::from_static("cookie"));
        }
    }
    if let Some(cookie) = finish.set_cookie
        && let Ok(mut cookie) = HeaderValue::try_from(cookie)
    {
        // A response must not set the same cookie twice (RFC 6265bis §4.1.1).
        remove(headers, &SET_COOKIE, |value| {
            sets_cookie(value, cookie_name)
        });
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

/// What asks caches of one kind to keep the response goes, whatever it says to others.
fn remove_invitations(headers: &mut HeaderMap) {
    let invitations = headers
        .iter()
        .filter(|(name, value)| invites_caches(name.as_str(), value));
    let names: Vec<_> = invitations.map(|(name, _)| name.clone()).collect();
    for name in names {
        remove(headers, &name, |value| invites_caches(name.as_str(), value));
    }
}

/// Removes those fields of that name that are not to stay.
fn remove(headers: &mut HeaderMap, name: &HeaderName, is_unwanted: impl Fn(&HeaderValue) -> bool) {
    let fields = headers.get_all(name);
    if fields.iter().any(&is_unwanted) {
        let others: Vec<_> = fields
            .iter()
            .filter(|value| !is_unwanted(value))
            .cloned()
            .collect();
        headers.remove(name);
        for other in others {
            headers.append(name, other);
        }
    }
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

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
    fn s30_no_cache_is_invited_past_cache_control() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("cdn-cache-control", "public, max-age=60"),
            ("cdn-cache-control", "no-store"),
            ("surrogate-control", "max-age=60"),
            ("x-accel-expires", "60"),
            ("etag", "\"1\""),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut untouched = headers.clone();
        apply(finish(None), "session", &mut headers);
        assert_eq!(headers["cdn-cache-control"], "no-store");
        assert_eq!(headers["etag"], "\"1\"");
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers.len(), 4);
        apply(Finish::default(), "session", &mut untouched);
        assert_eq!(untouched.len(), 5);
    }

    #[test]
    fn a_response_that_never_saw_the_session_is_left_alone() {
        let mut headers = HeaderMap::new();
        apply(Finish::default(), "session", &mut headers);
        assert!(headers.is_empty());
    }
}
