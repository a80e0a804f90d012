//! Finding our cookie in a request's `Cookie` header fields and in a response's `Set-Cookie` fields.

use memchr::{memchr, memmem::Finder};

use super::RawToken;

/// What was found under our name.
pub(crate) enum Sought {
    Absent,
    /// One cookie whose value cannot be ours.
    Malformed,
    Found(RawToken),
    /// Different cookies of our name. A sibling host can plant a second one but cannot remove
    /// ours, and nothing tells which is which: none is believed.
    Ambiguous,
}

/// Looks for the cookie of exactly one name, byte for byte.
///
/// Deliberately without a cookie library: those trim Unicode white space, unquote or percent-decode,
/// and each of that has let a cookie from elsewhere pass for a `__Host-` one (CVE-2020-8184,
/// CVE-2022-31629, CVE-2023-29019). Only the space and tab of RFC 6265 §4.2.1 are skipped here.
#[derive(Debug)]
pub(crate) struct CookieFinder {
    /// The name with the `=` behind it. No name contains one, so places where this stands never
    /// overlap.
    needle: Finder<'static>,
}

impl CookieFinder {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            needle: Finder::new(&format!("{name}=")).into_owned(),
        }
    }

    pub(crate) fn find<F: AsRef<[u8]>>(&self, fields: impl IntoIterator<Item = F>) -> Sought {
        let mut sought = Sought::Absent;
        for field in fields {
            for value in self.values(field.as_ref()) {
                let token = RawToken::new(value);
                // By reference: a token that is moved on is copied, and its copies are wiped.
                match (&sought, token) {
                    (Sought::Absent, token) => {
                        sought = token.map_or(Sought::Malformed, Sought::Found);
                    }
                    // Some clients and proxies send one cookie twice: nothing is planted by that.
                    (Sought::Found(first), Some(second)) if *first == second => {}
                    (Sought::Malformed | Sought::Found(_) | Sought::Ambiguous, _) => {
                        return Sought::Ambiguous;
                    }
                }
            }
        }
        sought
    }

    /// What stands behind the needle in each pair that begins with it, up to the pair's end.
    fn values<'a>(&'a self, field: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let name = self.needle.needle().len();
        self.needle.find_iter(field).filter_map(move |start| {
            let (before, pair) = field.split_at(start);
            let begins_a_pair = matches!(trim_end(before), [] | [.., b';']);
            let value = &pair[name..];
            let end = memchr(b';', value).unwrap_or(value.len());
            begins_a_pair.then(|| trim_end(&value[..end]))
        })
    }
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
    use proptest::prelude::*;

    use super::*;

    fn find_in(fields: &[&str]) -> &'static str {
        match CookieFinder::new("__Host-session").find(fields) {
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

    proptest! {
        #[test]
        fn the_values_are_those_of_the_pairs_between_semicolons(field in "(ab=|ab|a|=|;| |\t|\"){0,24}") {
            let finder = CookieFinder::new("ab");
            let pairs = field.as_bytes().split(|byte| *byte == b';');
            let values = pairs.filter_map(|pair| trim_start(pair).strip_prefix(b"ab="));
            let expected: Vec<_> = values.map(trim_end).collect();
            prop_assert_eq!(finder.values(field.as_bytes()).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn of_two_different_ones_neither_is_believed_wherever_they_stand() {
        let [ours, other] =
            ["A", "B"].map(|letter| format!("__Host-session={}", letter.repeat(88)));
        let nearly = format!("{}B", &ours[..ours.len() - 1]);
        for other in [&*other, &nearly, "__Host-session=v", "__Host-session="] {
            for (first, second) in [(&*ours, other), (other, &*ours)] {
                assert_eq!(find_in(&[first, second]), "ambiguous", "{other}");
                assert_eq!(
                    find_in(&[&format!("{first}; a=1;{second}")]),
                    "ambiguous",
                    "{other}"
                );
                assert_eq!(find_in(&[first, first, second]), "ambiguous", "{other}");
            }
        }
    }

    #[test]
    fn the_same_cookie_twice_is_one_cookie() {
        let ours = format!("__Host-session={}", "A".repeat(88));
        assert_eq!(find_in(&[&format!("{ours}; {ours}")]), "found");
        assert_eq!(find_in(&[&ours, "a=1", &ours, &ours]), "found");
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
