//! What a record says about the browser at the other end, and about who really sits there.

use std::{fmt, net::IpAddr};

use super::{Epoch, Principal, Record};

/// What was known of whoever was at the other end when a session began, or its user logged in. For pages such as "my
/// devices"; nothing is decided by it.
///
/// Everything in it is the visitor's word: shown to users, it has to be escaped like any other input. Control characters
/// are replaced, and texts are cut to [`Self::MAX_TEXT_BYTES`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Client {
    user_agent: Option<Box<str>>,
    address: Option<Box<str>>,
}

impl Client {
    /// Somebody of whom nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with what the browser says it is.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: &[u8]) -> Self {
        self.user_agent = readable(&String::from_utf8_lossy(user_agent));
        self
    }

    /// The same, with an address.
    #[must_use]
    pub fn with_address(mut self, address: IpAddr) -> Self {
        self.address = Some(address.to_canonical().to_string().into());
        self
    }

    /// The same, with the network of an address: `/24`, or `/48` of an IPv6 address. Fewer than a
    /// household share the whole one, which makes it personal data; a network tells a city from another.
    #[must_use]
    pub fn with_network(mut self, address: IpAddr) -> Self {
        let network = match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        };
        self.address = Some(network.into());
        self
    }

    /// What the browser says it is, if that was kept.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// The address or its network, if that was kept.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// The longest text that is kept, in bytes: long enough for what browsers send, and short enough that a
    /// session does not grow by what somebody makes up.
    pub const MAX_TEXT_BYTES: usize = 256;
}

/// Somebody who acts in another one's name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stored whole")]
pub struct Actor {
    /// Who.
    pub user: Principal,
    /// The epoch of their own logins in which they began to; the first where there is no index of them.
    pub epoch: Epoch,
}

impl Record {
    /// What was known of the browser when the session began, or its user logged in.
    #[must_use]
    pub fn client(&self) -> Client {
        let text = |kind| readable(std::str::from_utf8(self.extension(kind)?).ok()?);
        Client {
            user_agent: text(USER_AGENT),
            address: text(ADDRESS),
        }
    }

    /// The same record, with what is known of the browser now.
    #[must_use]
    pub fn with_client(self, client: &Client) -> Self {
        self.with_extension(USER_AGENT, client.user_agent().map(str::as_bytes))
            .with_extension(ADDRESS, client.address().map(str::as_bytes))
    }

    /// Who really acts in the name of the [principal](Self::principal), if somebody does.
    #[must_use]
    pub fn actor(&self) -> Option<Actor> {
        let (epoch, name) = self.extension(ACTOR)?.split_first_chunk()?;
        Some(Actor {
            user: Principal::new(std::str::from_utf8(name).ok()?).ok()?,
            epoch: Epoch::from_u64(u64::from_be_bytes(*epoch)),
        })
    }

    /// The same record, in which somebody acts in the principal's name, or nobody does.
    #[must_use]
    pub fn with_actor(self, actor: Option<&Actor>) -> Self {
        let bytes = actor.map(|actor| {
            let (epoch, name) = (actor.epoch.as_u64().to_be_bytes(), actor.user.as_str());
            [&epoch, name.as_bytes()].concat()
        });
        self.with_extension(ACTOR, bytes.as_deref())
    }
}

/// How much is kept of what is known of browsers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "each says more than the one before"
)]
pub enum ClientInfo {
    /// Nothing.
    #[default]
    Off,
    /// What the browser says it is.
    UserAgent,
    /// That, and the network of its address.
    UserAgentAndNetwork,
    /// That, and its address.
    UserAgentAndIp,
}

impl ClientInfo {
    /// What is to be kept of a browser.
    #[must_use]
    pub fn keep(self, user_agent: Option<&[u8]>, address: Option<IpAddr>) -> Client {
        let mut client = Client::new();
        if let Some(user_agent) = user_agent.filter(|_| self >= Self::UserAgent) {
            client = client.with_user_agent(user_agent);
        }
        match (self, address) {
            (Self::UserAgentAndNetwork, Some(address)) => client.with_network(address),
            (Self::UserAgentAndIp, Some(address)) => client.with_address(address),
            _ => client,
        }
    }
}

/// Whether it changes the direction of the text around it, so that something else is seen than what is there.
const fn turns_text(character: char) -> bool {
    matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// A text without what could do harm in a terminal or a log, cut to its limit; `None` if nothing is left.
fn readable(text: &str) -> Option<Box<str>> {
    let mut kept = String::new();
    for character in text.trim().chars() {
        let character = if character.is_control() || turns_text(character) {
            '\u{fffd}'
        } else {
            character
        };
        if kept.len() + character.len_utf8() > Client::MAX_TEXT_BYTES {
            break;
        }
        kept.push(character);
    }
    (!kept.is_empty()).then(|| kept.into())
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client(..)")
    }
}

/// Kinds of extensions. Their numbers are part of the record's format.
const USER_AGENT: u16 = 1;
const ADDRESS: u16 = 2;
const ACTOR: u16 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lifetimes, Lineage, SecretHash, SessionId, Timestamp};

    fn record() -> Record {
        Record::new(
            SessionId::from_bytes([1; 16]),
            Lineage::first(1),
            SecretHash::from_bytes([2; 32]),
            Timestamp::from_millis(1),
            Lifetimes::default(),
        )
    }

    fn restored(record: &Record) -> Record {
        Record::decode(record.encode()).unwrap()
    }

    #[test]
    fn what_is_known_of_a_client_survives_the_stored_form_and_is_replaced_whole() {
        let (v4, v6) = (
            "192.0.2.7".parse().unwrap(),
            "2001:db8:1:2::3".parse().unwrap(),
        );
        let first = Client::new().with_user_agent(b"Firefox").with_address(v4);
        let stored = restored(&record().with_client(&first));
        assert_eq!(stored.client(), first);
        let later = Client::new().with_network(v6);
        let stored = restored(&stored.with_client(&later));
        assert_eq!(stored.client().user_agent(), None);
        assert_eq!(stored.client().address(), Some("2001:db8:1::/48"));
        let nothing = stored.with_client(&Client::new());
        assert_eq!(restored(&nothing), record());
        assert_eq!(
            Client::new().with_network(v4).address(),
            Some("192.0.2.0/24")
        );
    }

    #[test]
    fn an_actor_is_kept_beside_what_other_versions_have_written() {
        let ada = Actor {
            user: Principal::new("ada").unwrap(),
            epoch: Epoch::from_u64(7),
        };
        let foreign = record().with_extension(9, Some(&[7; 5]));
        let acted = restored(&foreign.clone().with_actor(Some(&ada)));
        assert_eq!(acted.actor(), Some(ada));
        assert_eq!(acted.extension(9), Some(&[7; 5][..]));
        assert_eq!(restored(&acted.with_actor(None)), foreign);
    }

    #[test]
    fn hostile_texts_are_cut_and_lose_their_control_characters() {
        let long = "ä".repeat(1000);
        let client = Client::new().with_user_agent(long.as_bytes());
        assert_eq!(client.user_agent().unwrap().len(), Client::MAX_TEXT_BYTES);
        let client = Client::new().with_user_agent(b"a\x1b[2Jb\r\nc\xff");
        assert_eq!(
            client.user_agent(),
            Some("a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}")
        );
        assert_eq!(Client::new().with_user_agent(b" \n ").user_agent(), None);
        let turned = Client::new().with_user_agent("a\u{202e}b".as_bytes());
        assert_eq!(turned.user_agent(), Some("a\u{fffd}b"));
    }
}
