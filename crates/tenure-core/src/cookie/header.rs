//! Finding our cookie in a request's `Cookie` header fields.

/// What was found under our name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sought<'a> {
    Absent,
    Found(&'a [u8]),
    /// More than one cookie of our name. A sibling host can plant a second one but cannot remove
    /// ours, and nothing tells which is which: none is believed.
    Ambiguous,
}

/// Looks for the cookie of exactly that name, byte for byte.
///
/// Deliberately without a cookie library: those trim Unicode white space, unquote or percent-decode,
/// and each of that has let a cookie from elsewhere pass for a `__Host-` one (CVE-2020-8184,
/// CVE-2022-31629, CVE-2023-29019). Only the space and tab of RFC 6265 §4.2.1 are skipped here.
pub(crate) fn find<'a>(fields: impl IntoIterator<Item = &'a [u8]>, name: &str) -> Sought<'a> {
    let mut sought = Sought::Absent;
    for pair in fields
        .into_iter()
        .flat_map(|field| field.split(|byte| *byte == b';'))
    {
        let Some(value) = value_of(pair, name.as_bytes()) else {
            continue;
        };
        match sought {
            Sought::Absent => sought = Sought::Found(value),
            Sought::Found(_) | Sought::Ambiguous => return Sought::Ambiguous,
        }
    }
    sought
}

fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = trim_start(pair).strip_prefix(name)?.strip_prefix(b"=")?;
    Some(trim_end(value))
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in<'a>(fields: &[&'a str]) -> Sought<'a> {
        find(
            fields.iter().map(|field| field.as_bytes()),
            "__Host-session",
        )
    }

    #[test]
    fn a_cookie_is_found_anywhere_in_any_field() {
        for fields in [
            &["__Host-session=v"][..],
            &["a=1; __Host-session=v; b=2"],
            &["a=1;__Host-session=v"],
            &["a=1;\t __Host-session=v \t"],
            &["a=1", "b=2; __Host-session=v"],
            &["broken; =x; ;; __Host-session=v;"],
        ] {
            assert_eq!(find_in(fields), Sought::Found(b"v"), "{fields:?}");
        }
    }

    #[test]
    fn look_alikes_are_other_cookies() {
        for field in [
            "__host-session=v",
            "__HOST-session=v",
            "%5F%5FHost-session=v",
            "\u{2000}__Host-session=v",
            "\u{85}__Host-session=v",
            "\u{a0}__Host-session=v",
            "=__Host-session=v",
            "__Host-session =v",
            "\"__Host-session\"=v",
            "x__Host-session=v",
            "__Host-session2=v",
            "__Host-session",
            "a=\"; b",
        ] {
            assert_eq!(find_in(&[field]), Sought::Absent, "{field:?}");
        }
    }

    #[test]
    fn two_of_our_name_are_ambiguous_wherever_they_stand() {
        assert_eq!(
            find_in(&["__Host-session=v; __Host-session=v"]),
            Sought::Ambiguous
        );
        assert_eq!(
            find_in(&["__Host-session=v", "__Host-session=w"]),
            Sought::Ambiguous
        );
    }
}
