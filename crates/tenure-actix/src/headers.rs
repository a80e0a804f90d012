//! What the manager says about a response, put into header fields.

use std::borrow::Cow;

use actix_web::{
    HttpResponse,
    http::header::{
        CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue, SET_COOKIE, VARY,
    },
};
use tenure_core::{
    Finish, invites_caches, needs_vary_cookie, outcome_status, private_cache_control, sets_cookie,
};

/// How the request went, as far as the head of its response tells.
pub(crate) fn status<B>(response: &HttpResponse<B>) -> u16 {
    let grpc_status = response.headers().get(GRPC_STATUS);
    outcome_status(response.status().as_u16(), grpc_status)
}

pub(crate) fn apply(finish: &Finish, cookie_name: &str, headers: &mut HeaderMap) {
    if finish.is_personal {
        if let Some(value) = private_cache_control(texts(headers, &CACHE_CONTROL))
            && let Ok(value) = header_value(value)
        {
            headers.insert(CACHE_CONTROL, value);
        }
        // What asks caches of one kind to keep the response goes, whatever it says to others.
        headers.retain(|name, value| !invites_caches(name.as_str(), value));
        if needs_vary_cookie(texts(headers, &VARY)) {
            headers.append(VARY, HeaderValue::from_static("cookie"));
        }
    }
    if let Some(cookie) = &finish.set_cookie
        && let Ok(mut cookie) = HeaderValue::try_from(cookie)
    {
        headers.retain(|name, value| *name != SET_COOKIE || !sets_cookie(value, cookie_name));
        cookie.set_sensitive(true);
        headers.append(SET_COOKIE, cookie);
    }
}

fn header_value(text: Cow<'static, str>) -> Result<HeaderValue, InvalidHeaderValue> {
    match text {
        Cow::Borrowed(text) => Ok(HeaderValue::from_static(text)),
        Cow::Owned(text) => HeaderValue::try_from(text),
    }
}

/// Fields that are not text are treated as absent: they can contain no directive.
fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok())
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
        headers.insert(VARY, HeaderValue::from_static("cookie"));
        for cookie in ["session=old", "theme=dark", "session2=x", "session=older"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        apply(
            &finish(Some("session=new; Path=/")),
            "session",
            &mut headers,
        );
        let ours = headers.get_all(SET_COOKIE).next_back();
        assert!(ours.is_some_and(HeaderValue::is_sensitive));
        let cookies: Vec<_> = texts(&headers, &SET_COOKIE).collect();
        assert_eq!(cookies, ["theme=dark", "session2=x", "session=new; Path=/"]);
        assert_eq!(texts(&headers, &VARY).collect::<Vec<_>>(), ["cookie"]);
    }

    #[test]
    fn s30_a_personal_response_is_kept_out_of_shared_caches() {
        let mut headers = HeaderMap::new();
        for value in ["public", "max-age=60"] {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
        }
        headers.insert(VARY, HeaderValue::from_static("accept"));
        apply(&finish(None), "session", &mut headers);
        let texts = |name| texts(&headers, name).collect::<Vec<_>>();
        assert_eq!(texts(&CACHE_CONTROL), ["private, max-age=60"]);
        assert_eq!(texts(&VARY), ["accept", "cookie"]);
    }

    #[test]
    fn a_response_that_never_saw_the_session_is_left_alone() {
        let mut headers = HeaderMap::new();
        apply(&Finish::default(), "session", &mut headers);
        assert!(headers.is_empty());
    }
}
