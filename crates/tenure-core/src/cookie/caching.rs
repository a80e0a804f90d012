//! Keeping personal responses out of shared caches.

use std::borrow::Cow;

/// The `Cache-Control` that a personal response needs instead of the fields that it has, or `None`
/// if those already keep it out of shared caches.
///
/// A response is personal if it read the session or sets its cookie. Without a field of its own it
/// gets `no-store`, as OWASP's Session Management Cheat Sheet advises; an application that wants its
/// pages kept in the browser says `private` itself. What would let a shared cache store it
/// (`public`, `s-maxage`) is taken out. A `Set-Cookie` alone stops no cache (RFC 6265bis §3).
#[must_use]
pub fn private_cache_control<'a>(
    present: impl IntoIterator<Item = &'a str>,
) -> Option<Cow<'static, str>> {
    let fields: Vec<&str> = present.into_iter().collect();
    if fields.is_empty() {
        return Some(NO_STORE.into());
    }
    if fields.iter().any(|field| field.contains('"')) {
        // Arguments in quotes restrict directives to single fields; nothing that is worth parsing.
        return Some(NO_STORE.into());
    }
    let directives = || {
        fields
            .iter()
            .flat_map(|field| field.split(','))
            .map(str::trim)
    };
    let is = |directive: &str, name: &str| directive.eq_ignore_ascii_case(name);
    let is_shared = |directive: &str| {
        let name = directive.split('=').next().unwrap_or_default().trim();
        is(name, "public") || is(name, "s-maxage")
    };
    let is_private = |directive: &str| is(directive, "private") || is(directive, NO_STORE);
    if directives().any(is_private) && !directives().any(is_shared) {
        return None;
    }
    let kept = directives().filter(|directive| {
        !directive.is_empty() && !is_shared(directive) && !is(directive, "private")
    });
    Some(
        std::iter::once("private")
            .chain(kept)
            .collect::<Vec<_>>()
            .join(", ")
            .into(),
    )
}

/// Whether a personal response must lose this field, since it tells caches of some kind, past
/// `Cache-Control`, that they may keep the response.
///
/// Those are the targeted fields of RFC 9213, whose names end in `-Cache-Control`, and what was in use
/// before them: `Surrogate-Control`, Akamai's `Edge-Control`, nginx' `X-Accel-Expires`. A cache for
/// which such a field is meant obeys it *instead of* `Cache-Control`; without it, it obeys that one. A
/// field that forbids to keep the response does no harm and stays.
#[must_use]
pub fn invites_caches(name: &str, value: impl AsRef<[u8]>) -> bool {
    let ends = |end: &str| {
        let start = name.len().checked_sub(end.len());
        start
            .and_then(|start| name.get(start..))
            .is_some_and(|text| text.eq_ignore_ascii_case(end))
    };
    let is_targeted = ends("-cache-control")
        || [SURROGATE_CONTROL, EDGE_CONTROL, X_ACCEL_EXPIRES]
            .iter()
            .any(|field| name.eq_ignore_ascii_case(field));
    // What is no text forbids nothing.
    is_targeted
        && str::from_utf8(value.as_ref())
            .map_or(true, |value| private_cache_control([value]).is_some())
}

/// Whether a personal response still needs a `Vary: Cookie` beside the `Vary` fields that it has.
#[must_use]
pub fn needs_vary_cookie<'a>(present: impl IntoIterator<Item = &'a str>) -> bool {
    !present
        .into_iter()
        .flat_map(|field| field.split(','))
        .map(str::trim)
        .any(|name| name == "*" || name.eq_ignore_ascii_case("cookie"))
}

const NO_STORE: &str = "no-store";
const SURROGATE_CONTROL: &str = "surrogate-control";
const EDGE_CONTROL: &str = "edge-control";
const X_ACCEL_EXPIRES: &str = "x-accel-expires";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s30_the_cache_control_table_holds_row_by_row() {
        let rows: &[(&[&str], Option<&str>)] = &[
            (&[], Some("no-store")),
            (&["no-store"], None),
            (&["private, max-age=60"], None),
            (&["Private"], None),
            (&["max-age=60"], Some("private, max-age=60")),
            (&["public, max-age=60"], Some("private, max-age=60")),
            (&["PUBLIC", "max-age=60"], Some("private, max-age=60")),
            (&["private, s-maxage=60"], Some("private")),
            (&["no-store, public"], Some("private, no-store")),
            (&["private=\"set-cookie\", max-age=60"], Some("no-store")),
            (&["private=set-cookie"], Some("private, private=set-cookie")),
            (&[""], Some("private")),
        ];
        for (present, needed) in rows {
            assert_eq!(
                private_cache_control(present.iter().copied()).as_deref(),
                *needed,
                "{present:?}"
            );
        }
    }

    #[test]
    fn s30_what_invites_caches_of_one_kind_is_told_from_what_forbids_them() {
        for name in [
            "CDN-Cache-Control",
            "cdn-cache-control",
            "cloudflare-cdn-cache-control",
            "Surrogate-Control",
            "edge-control",
            "x-accel-expires",
        ] {
            for value in [
                "public, max-age=60",
                "max-age=60",
                "60",
                "0",
                "",
                "no-store, public",
                "\u{e9}",
            ] {
                assert!(invites_caches(name, value), "{name}: {value}");
            }
            assert!(invites_caches(name, b"max-age=60; \xe9"), "{name}");
            for value in [
                "no-store",
                "private",
                "Private, max-age=60",
                "no-store, max-age=0",
            ] {
                assert!(!invites_caches(name, value), "{name}: {value}");
            }
        }
        for name in [
            "cache-control",
            "expires",
            "x-cache-controls",
            "surrogate-key",
            "\u{e9}cache-control",
        ] {
            assert!(!invites_caches(name, "public, max-age=60"), "{name}");
        }
    }

    #[test]
    fn s30_vary_names_the_cookie_once() {
        assert!(needs_vary_cookie([]));
        assert!(needs_vary_cookie(["accept-encoding"]));
        assert!(!needs_vary_cookie(["accept-encoding, Cookie"]));
        assert!(!needs_vary_cookie(["*"]));
    }
}
