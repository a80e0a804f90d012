//! The session cookie's attributes.

use std::{
    fmt::Write as _,
    ops::Range,
    time::{Duration, SystemTime},
};

use httpdate::HttpDate;

use crate::Timestamp;

/// The name and the attributes of the session cookie. Exists only in combinations that browsers accept.
///
/// The default is `__Host-session` with `Path=/; Secure; HttpOnly; SameSite=Lax`, kept until the
/// browser closes.
///
/// # Security
///
/// The `__Host-` prefix makes browsers refuse the cookie from sibling hosts and over plain HTTP (RFC
/// 6265bis §4.1.3). `HttpOnly` is always set: no script has any business with the session's
/// credential (OWASP Session Management Cheat Sheet).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieConfig {
    name: String,
    /// The attributes as they follow the value, without how long it is kept.
    attributes: String,
    persistent: bool,
}

impl CookieConfig {
    /// Begins a configuration with the default attributes.
    pub fn builder() -> CookieConfigBuilder {
        CookieConfigBuilder::default()
    }

    /// The cookie's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// The text of a `Set-Cookie` field with that value, to be `kept` from the present to that end.
    /// Without it, the browser drops the cookie when it closes.
    pub(crate) fn set(&self, value: &str, kept: Option<Range<Timestamp>>) -> String {
        // With room for the longest `Max-Age`, 400 days in seconds, and a date.
        let length = self.name.len() + value.len() + self.attributes.len() + 64;
        let mut text = String::with_capacity(length);
        for part in [&*self.name, "=", value, &*self.attributes] {
            text.push_str(part);
        }
        if let Some(kept) = kept {
            let max_age = kept.end.since(kept.start).as_secs();
            // Browsers obey `Max-Age`, which needs no clock of theirs. `Expires` is for Java's clients:
            // `java.net.HttpCookie` takes a cookie without it for one of RFC 2965 and sends its value
            // back in quotes. Writing to a string cannot fail.
            let _ = write!(text, "; Max-Age={max_age}; Expires={}", date(kept.end));
        }
        text
    }

    /// The text of a `Set-Cookie` field that removes the cookie.
    pub(crate) fn remove(&self) -> String {
        let present = Timestamp::default();
        self.set("", Some(present..present))
    }
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            name: DEFAULT_NAME.to_owned(),
            attributes: "; HttpOnly; SameSite=Lax; Secure; Path=/".to_owned(),
            persistent: false,
        }
    }
}

/// Collects the attributes of a [`CookieConfig`] and checks them together.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct CookieConfigBuilder {
    name: Option<String>,
    path: String,
    domain: Option<String>,
    same_site: SameSite,
    secure: bool,
    partitioned: bool,
    persistent: bool,
}

impl CookieConfigBuilder {
    /// Another name. Default: `__Host-session`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sends the cookie only to paths below this one. Default: `/`.
    ///
    /// Not a security boundary: pages of one host can reach each other whatever their paths.
    ///
    /// Take a new [`name`](Self::name) when you change this: browsers keep the cookie with the old path
    /// beside the new one and send both, and of two different cookies of one name neither is believed.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sends the cookie to all hosts of this domain. Default: only to the host that set it.
    ///
    /// Needs another name than the default one, since a `__Host-` cookie has no domain. Take a new
    /// [`name`](Self::name) whenever you change this, as with [`path`](Self::path).
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Which requests from other sites carry the cookie. Default: [`SameSite::Lax`].
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Keeps a separate cookie for each top-level site that embeds this one (`Partitioned`, CHIPS).
    /// Needs [`SameSite::None`].
    pub fn partitioned(mut self) -> Self {
        self.partitioned = true;
        self
    }

    /// Lets every session's cookie survive the browser's closing: `Max-Age` and `Expires` are what is left
    /// of the lease, and grow with it. Default: the browser drops it when it closes, unless the user asked to be
    /// remembered; see [`Session::login_remembered`](crate::Session::login_remembered).
    pub fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// Leaves `Secure` out and names the cookie `session`, for trying things out on a machine of
    /// your own without TLS. Never for anything that others reach: whoever is on the way can read
    /// and plant the cookie.
    pub fn danger_insecure_for_localhost(mut self) -> Self {
        self.secure = false;
        self
    }

    /// Checks that the attributes go together.
    ///
    /// # Errors
    ///
    /// [`CookieConfigError`] for a cookie that browsers would drop, cut off or misread.
    pub fn build(self) -> Result<CookieConfig, CookieConfigError> {
        let default_name = if self.secure {
            DEFAULT_NAME
        } else {
            LOCALHOST_NAME
        };
        let name = self.name.as_deref().unwrap_or(default_name);
        if name.is_empty() || !name.bytes().all(is_token_character) {
            return Err(CookieConfigError::Name);
        }
        if !self.path.starts_with('/') || !self.path.bytes().all(is_attribute_character) {
            return Err(CookieConfigError::Path);
        }
        if !self.domain.as_deref().is_none_or(is_domain) {
            return Err(CookieConfigError::Domain);
        }
        self.check_prefix(name)?;
        if self.same_site == SameSite::None && !self.secure {
            return Err(CookieConfigError::SameSiteNoneInsecure);
        }
        if self.partitioned && self.same_site != SameSite::None {
            return Err(CookieConfigError::PartitionedSameSite);
        }
        let longest = name.len() + VALUE_OCTETS;
        if longest > MAX_NAME_AND_VALUE_OCTETS {
            return Err(CookieConfigError::NameTooLong { octets: longest });
        }
        let attributes = [Some(&self.path), self.domain.as_ref()];
        if let Some(long) = attributes
            .into_iter()
            .flatten()
            .find(|text| text.len() > MAX_ATTRIBUTE_OCTETS)
        {
            return Err(CookieConfigError::AttributeTooLong { octets: long.len() });
        }
        Ok(CookieConfig {
            name: name.to_owned(),
            attributes: self.attributes(),
            persistent: self.persistent,
        })
    }

    /// RFC 6265bis §4.1.3 and §5.7, steps 20 and 21: browsers match the prefixes in any letter case.
    fn check_prefix(&self, name: &str) -> Result<(), CookieConfigError> {
        let name = name.to_ascii_lowercase();
        let is_host = name.starts_with("__host-");
        let is_secure = ["__secure-", "__http-"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        let broken = match self {
            _ if !is_host && !is_secure => None,
            Self { secure: false, .. } => Some("Secure"),
            Self {
                domain: Some(_), ..
            } if is_host => Some("no Domain"),
            Self { path, .. } if is_host && path != "/" => Some("Path=/"),
            _ => None,
        };
        broken.map_or(Ok(()), |needs| Err(CookieConfigError::Prefix { needs }))
    }

    fn attributes(&self) -> String {
        let mut cookie = cookie::Cookie::build(("", ""))
            .path(&self.path)
            .http_only(true)
            .same_site(match self.same_site {
                SameSite::Strict => cookie::SameSite::Strict,
                SameSite::Lax => cookie::SameSite::Lax,
                SameSite::None => cookie::SameSite::None,
            })
            .secure(self.secure)
            .partitioned(self.partitioned);
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(domain);
        }
        // Name and value are empty, so that what follows the sign between them is the attributes.
        cookie.to_string().split_off(1)
    }
}

impl Default for CookieConfigBuilder {
    fn default() -> Self {
        Self {
            name: None,
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::Lax,
            secure: true,
            partitioned: false,
            persistent: false,
        }
    }
}

/// Which requests that another site causes carry the cookie (RFC 6265bis §4.1.2.7).
///
/// A second line of defence against forged requests, not the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// None; a visitor who follows a link from elsewhere appears logged out at first.
    Strict,
    /// Links and other top-level navigation by safe methods.
    Lax,
    /// All, also from within frames.
    None,
}

/// Cookie attributes that browsers would refuse, cut off or misread.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieConfigError {
    /// The name is empty or holds a character that no cookie name may have.
    #[error("a cookie name consists of letters, digits and !#$%&'*+-.^_`|~")]
    Name,
    /// The path does not begin with a slash or holds a character that ends the attribute.
    #[error("a cookie path begins with a slash and holds no semicolon or control character")]
    Path,
    /// The domain is not a host name.
    #[error("a cookie domain is a host name of letters, digits, hyphens and dots")]
    Domain,
    /// The name begins with a prefix whose promise the attributes break.
    #[error("a cookie whose name begins with this prefix needs {needs}, or browsers drop it")]
    #[non_exhaustive]
    Prefix {
        /// What the prefix demands.
        needs: &'static str,
    },
    /// Browsers drop `SameSite=None` cookies without `Secure`.
    #[error("SameSite=None needs Secure, or browsers drop the cookie")]
    SameSiteNoneInsecure,
    /// `Partitioned` is for embedded pages, whose requests only `SameSite=None` cookies accompany.
    #[error("Partitioned needs SameSite=None")]
    PartitionedSameSite,
    /// Name and value together are longer than browsers keep.
    #[error("the cookie's name and value take {octets} octets; browsers keep 4096")]
    #[non_exhaustive]
    NameTooLong {
        /// The length of name and value.
        octets: usize,
    },
    /// A path or domain is longer than browsers keep.
    #[error("a cookie attribute takes {octets} octets; browsers keep 1024")]
    #[non_exhaustive]
    AttributeTooLong {
        /// The attribute's length.
        octets: usize,
    },
}

/// A point in time as header fields have it (RFC 9110 §5.6.7).
fn date(time: Timestamp) -> HttpDate {
    let since_epoch = Duration::from_millis(time.as_millis()).min(LAST_DATE);
    HttpDate::from(SystemTime::UNIX_EPOCH + since_epoch)
}

const fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

const fn is_attribute_character(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b';'
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.split('.').all(is_label)
}

const DEFAULT_NAME: &str = "__Host-session";
const LOCALHOST_NAME: &str = "session";

/// 9999-12-31T23:59:59Z: years have four digits.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);
/// The length of every value, see `token`.
const VALUE_OCTETS: usize = 88;
/// RFC 6265bis §5.6.
const MAX_NAME_AND_VALUE_OCTETS: usize = 4096;
/// RFC 6265bis §5.6.
const MAX_ATTRIBUTE_OCTETS: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_is_what_an_untouched_builder_makes() {
        assert_eq!(CookieConfig::builder().build(), Ok(CookieConfig::default()));
    }

    #[test]
    fn s1_to_s4_the_default_cookie_is_secure() {
        assert_eq!(
            CookieConfig::default().set("v", None),
            "__Host-session=v; HttpOnly; SameSite=Lax; Secure; Path=/"
        );
    }

    #[test]
    fn s5_prefixed_names_demand_their_attributes_in_any_letter_case() {
        for name in ["__Host-s", "__HOST-s", "__host-s"] {
            let builder = CookieConfig::builder().name(name);
            for contradiction in [
                builder.clone().domain("example.org"),
                builder.clone().path("/app"),
                builder.clone().danger_insecure_for_localhost(),
            ] {
                assert!(matches!(
                    contradiction.build(),
                    Err(CookieConfigError::Prefix { .. })
                ));
            }
            assert!(builder.build().is_ok());
        }
        for name in ["__Secure-s", "__sEcure-s", "__Http-s"] {
            let builder = CookieConfig::builder().name(name);
            assert!(
                builder
                    .clone()
                    .danger_insecure_for_localhost()
                    .build()
                    .is_err()
            );
            assert!(builder.domain("example.org").path("/app").build().is_ok());
        }
    }

    #[test]
    fn s6_a_removal_repeats_every_attribute() {
        let cookie = CookieConfig::builder()
            .name("__Secure-s")
            .path("/app")
            .domain("example.org")
            .same_site(SameSite::None)
            .partitioned()
            .persistent()
            .build()
            .unwrap();
        let present = Timestamp::from_millis(784_111_777_999);
        let kept = present..present.after(Duration::from_secs(60));
        let (set, removal) = (cookie.set("v", Some(kept)), cookie.remove());
        let attributes = |text: &str| {
            text.split("; ")
                .skip(1)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let (mut set, mut removal) = (attributes(&set), attributes(&removal));
        assert_eq!(set.pop().unwrap(), "Expires=Sun, 06 Nov 1994 08:50:37 GMT");
        assert_eq!(
            removal.pop().unwrap(),
            "Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        );
        assert_eq!(set.pop().unwrap(), "Max-Age=60");
        assert_eq!(removal.pop().unwrap(), "Max-Age=0");
        assert_eq!(set, removal);
        assert_eq!(set.len(), 6);
    }

    #[test]
    fn s7_what_browsers_would_cut_off_is_refused() {
        let builder = CookieConfig::builder;
        assert!(builder().name("n".repeat(4096 - 88)).build().is_ok());
        assert!(builder().name("n".repeat(4096 - 87)).build().is_err());
        let path = |length: usize| format!("/{}", "p".repeat(length - 1));
        assert!(builder().name("s").path(path(1024)).build().is_ok());
        assert!(builder().name("s").path(path(1025)).build().is_err());
    }

    #[test]
    fn s9_partitioned_demands_same_site_none_and_secure() {
        let partitioned = CookieConfig::builder().partitioned();
        assert_eq!(
            partitioned.clone().build(),
            Err(CookieConfigError::PartitionedSameSite)
        );
        let none = partitioned.same_site(SameSite::None);
        assert!(
            none.clone()
                .danger_insecure_for_localhost()
                .build()
                .is_err()
        );
        let cookie = none.build().unwrap();
        assert!(cookie.set("v", None).contains("; Partitioned; Secure"));
        assert!(cookie.remove().contains("; Partitioned; Secure"));
    }

    proptest! {
        #[test]
        fn both_ways_to_say_how_long_agree(present in any::<u64>(), span in any::<u64>()) {
            let present = Timestamp::from_millis(present);
            let end = present.after(Duration::from_millis(span));
            let text = CookieConfig::default().set("v", Some(present..end));
            let (rest, expires) = text.rsplit_once("; Expires=").unwrap();
            let (_, max_age) = rest.rsplit_once("; Max-Age=").unwrap();
            prop_assert_eq!(max_age.parse(), Ok(end.since(present).as_secs()));
            let expires = httpdate::parse_http_date(expires).unwrap();
            let expires = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            prop_assert_eq!(expires.as_secs(), (end.as_millis() / 1000).min(LAST_DATE.as_secs()));
        }

        #[test]
        fn no_attribute_can_smuggle_in_another(
            name in "\\PC{0,8}|[\\x00-\\x7f]{0,8}", path in "/[\\x00-\\x7f]{0,8}", domain in "[\\x00-\\x7f]{0,8}",
        ) {
            let builder = CookieConfig::builder().name(name.clone()).path(path.clone()).domain(domain.clone());
            if let Ok(cookie) = builder.build() {
                let text = cookie.set("v", None);
                let (pair, attributes) = text.split_once("; ").unwrap();
                let expected_pair = format!("{name}=v");
                prop_assert_eq!(pair, expected_pair);
                let expected = format!("HttpOnly; SameSite=Lax; Secure; Path={path}; Domain={domain}");
                prop_assert_eq!(attributes, expected);
            }
        }
    }
}
