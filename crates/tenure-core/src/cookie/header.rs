//! Finding our cookie in a request's `Cookie` header fields and in a response's `Set-Cookie` fields.

use memchr::memchr_iter;

use super::RawToken;

/// What was found under our name.
pub(crate) enum Sought {
    Absent,
    /// One cookie whose value cannot be ours.
    Malformed,
    Found(RawToken),
    /// More than one cookie of our name. A sibling host can plant a second one but cannot remove
    /// ours, and nothing tells which is which: none is believed.
    Ambiguous,
}

/// Looks for the cookie of exactly that name, byte for byte.
///
/// Deliberately without a cookie library: those trim Unicode white space, unquote or percent-decode,
/// and each of that has let a cookie from elsewhere pass for a `__Host-` one (CVE-2020-8184,
/// CVE-2022-31629, CVE-2023-29019). Only the space and tab of RFC 6265 §4.2.1 are skipped here.
pub(crate) fn find<F: AsRef<[u8]>>(fields: impl IntoIterator<Item = F>, name: &str) -> Sought {
    let mut sought = Sought::Absent;
    for field in fields {
        let values = pairs(field.as_ref()).filter_map(|pair| value_of(pair, name.as_bytes()));
        for value in values {
            sought = match sought {
                Sought::Absent => RawToken::new(value).map_or(Sought::Malformed, Sought::Found),
                Sought::Malformed | Sought::Found(_) | Sought::Ambiguous => {
                    return Sought::Ambiguous;
                }
            };
        }
    }
    sought
}

/// Whether the text of a `Set-Cookie` field sets the cookie of that name.
///
/// A response must not set one cookie twice (RFC 6265bis §4.1.1): adapters take out what an
/// application has set under the session cookie's name. As browsers do (§5.6), a field without `=`
/// is a value without a name, and space around the name does not count.
#[must_use]
pub fn sets_cookie(field: impl AsRef<[u8]>, name: &str) -> bool {
    let mut parts = field.as_ref().split(|byte| *byte == b';');
    let pair = parts.next().unwrap_or_default();
    let end = pair.iter().position(|byte| *byte == b'=');
    end.is_some_and(|end| trim_end(trim_start(&pair[..end])) == name.as_bytes())
}

/// What stands between semicolons.
fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr_iter(b';', field).chain([field.len()]);
    let mut start = 0;
    ends.map(move |end| {
        let pair = &field[start..end];
        start = end + 1;
        pair
    })
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

    fn find_in(fields: &[&str]) -> &'static str {
        match find(fields, "__Host-session") {
            Sought::Absent => "absent",
            Sought::Malformed => "malformed",
            Sought::Found(_) => "found",
            Sought::Ambiguous => "ambiguous",
        }
    }

    #[test]
    fn a_cookie_is_found_anywhere_in_any_field() {
        let ours = format!("__Host-session={}", "A".repeat(88));
        for fields in [
            &[&*ours][..],
            &[&format!("a=1; {ours}; b=2")],
            &[&format!("a=1;{ours}")],
            &[&format!("a=1;\t {ours} \t")],
            &["a=1", &format!("b=2; {ours}")],
            &[&format!("broken; =x; ;; {ours};")],
        ] {
            assert_eq!(find_in(fields), "found", "{fields:?}");
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
            assert_eq!(find_in(&[field]), "absent", "{field:?}");
        }
    }

    #[test]
    fn a_value_of_another_length_cannot_be_ours() {
        let quoted = format!("__Host-session=\"{}\"", "A".repeat(88));
        for field in ["__Host-session=", "__Host-session=v", &quoted] {
            assert_eq!(find_in(&[field]), "malformed", "{field:?}");
        }
    }

    #[test]
    fn two_of_our_name_are_ambiguous_wherever_they_stand() {
        assert_eq!(
            find_in(&["__Host-session=v; __Host-session=v"]),
            "ambiguous"
        );
        assert_eq!(
            find_in(&["__Host-session=v", "__Host-session=w"]),
            "ambiguous"
        );
    }
    #[test]
    fn s10_a_field_sets_the_cookie_that_a_browser_would_file_it_under() {
        for ours in [
            "session=",
            "session=v",
            "session=v; Path=/",
            " session\t=v",
            "session=a=b",
        ] {
            assert!(sets_cookie(ours, "session"), "{ours:?}");
        }
        for other in [
            "",
            "session",
            "session; =",
            "session2=v",
            "Session=v",
            "=session=v",
            "theme=dark; session=v",
        ] {
            assert!(!sets_cookie(other, "session"), "{other:?}");
        }
    }
}
