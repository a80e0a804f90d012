use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::AuditError;

/// One line of the audit trail. Holds no session ids, no secrets and no values; the names in it are personal
/// data.
///
/// Each process writes a chain of its own: an entry names the hash of the one before it, so that one that was
/// changed or taken out of the middle [shows](verify_audit).
///
/// `Debug` shows no names.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Whose chain it is in: a random number per process.
    pub chain: u64,
    /// Its place in the chain, from 1.
    pub number: u64,
    /// The hash of the entry before it, in hexadecimal; zeros for the first.
    pub previous: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What was done.
    pub action: AuditAction,
    /// To whose sessions. `None` where it is about everyone's.
    pub user: Option<String>,
    /// By whom, and why.
    pub by: Operator,
    /// What became of it.
    pub outcome: AuditOutcome,
}

/// What is done to sessions of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditAction {
    /// One login is ended.
    End,
    /// All logins of a user but the one from which it is done are ended.
    EndOthers,
    /// All logins of a user are ended.
    EndAll,
    /// A user is logged out and may not log in again.
    Block,
    /// A user may log in again.
    Unblock,
    /// All sessions are ended.
    EndEveryone,
    /// Somebody acts in a user's name.
    ActAs,
}

impl AuditAction {
    /// Whether users do it to sessions of their own.
    pub(crate) const fn is_for_users(self) -> bool {
        matches!(self, Self::End | Self::EndOthers | Self::EndAll)
    }
}

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditOutcome {
    /// It is about to be done. An intent without a later entry may have been carried out in part.
    Intended,
    /// It was done, to so many sessions.
    Done(u64),
    /// It failed, and may have been done in part.
    Failed,
}

/// Who does something to sessions of others, and why. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Operator {
    /// Their name; the user themselves where they end their own logins.
    pub name: String,
    /// Why they do it. Empty only for users themselves.
    pub reason: String,
    /// In which role.
    pub role: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// In which request, to find it in other logs.
    pub request: Option<String>,
}

impl Operator {
    /// Somebody who does something for that reason.
    pub fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            reason: reason.into(),
            role: None,
            address: None,
            request: None,
        }
    }

    /// The same, in that role.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// The same, from that address.
    #[must_use]
    pub fn address(mut self, address: impl fmt::Display) -> Self {
        self.address = Some(address.to_string());
        self
    }

    /// The same, in that request.
    #[must_use]
    pub fn request(mut self, request: impl fmt::Display) -> Self {
        self.request = Some(request.to_string());
        self
    }
}

impl AuditEntry {
    /// The entry as one line of JSON, as sinks keep it.
    ///
    /// # Errors
    ///
    /// [`AuditError`]; that does not happen with the entries that tenure makes.
    pub fn to_json(&self) -> Result<String, AuditError> {
        serde_json::to_string(self).map_err(AuditError::new)
    }

    /// The SHA-256 of all its fields, each with its length before it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |field: &str| {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field.as_bytes());
        };
        for number in [self.chain, self.number, self.at_ms] {
            add(&number.to_string());
        }
        add(&self.previous);
        add(&format!("{:?} {:?}", self.action, self.outcome));
        add(&self.by.name);
        add(&self.by.reason);
        for field in [
            &self.user,
            &self.by.role,
            &self.by.address,
            &self.by.request,
        ] {
            // What is not there and what is empty are two things.
            add(field.as_ref().map_or("-", |_| "+"));
            add(field.as_deref().unwrap_or_default());
        }
        hash.finalize().into()
    }
}

/// Checks that nothing was changed in, or taken out of, the entries of each chain, and returns the first that does not
/// follow the one before it. What was cut off at the end of a process's last chain does not show.
///
/// A trail whose oldest entries were dropped, as by the limit of a stream, does not begin with a chain's beginning: check it
/// from the first entry on whose number is 1 and whose `previous` is all zeros, or keep what is dropped.
///
/// Entries of several chains may be mixed; those of one have to be in order.
#[must_use]
pub fn verify_audit<'a>(
    entries: impl IntoIterator<Item = &'a AuditEntry>,
) -> Option<&'a AuditEntry> {
    let mut heads = HashMap::new();
    // The first entry of a chain names the last one of the chain before it in its process, or nothing.
    let mut hashes = HashSet::from([hex(&[0; 32])]);
    for entry in entries {
        let follows = match heads.get(&entry.chain) {
            Some((number, previous)) => entry.number == number + 1 && entry.previous == *previous,
            None => entry.number == 1 && hashes.contains(&entry.previous),
        };
        if !follows {
            return Some(entry);
        }
        let hash = hex(&entry.hash());
        hashes.insert(hash.clone());
        heads.insert(entry.chain, (entry.number, hash));
    }
    None
}

impl fmt::Debug for AuditEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditEntry")
            .field("chain", &self.chain)
            .field("number", &self.number)
            .field("action", &self.action)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operator(..)")
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(name: u64) -> Vec<AuditEntry> {
        let mut previous = [0; 32];
        let entry = |number| {
            let entry = AuditEntry {
                chain: name,
                number,
                previous: hex(&previous),
                at_ms: 1000 + number,
                action: AuditAction::EndAll,
                user: Some("ada".to_owned()),
                by: Operator::new("op", "stolen laptop").role("support"),
                outcome: AuditOutcome::Done(number),
            };
            previous = entry.hash();
            entry
        };
        (1..=4).map(entry).collect()
    }

    #[test]
    fn what_was_changed_or_taken_out_shows() {
        let (one, other) = (chain(1), chain(2));
        let mixed: Vec<_> = one.iter().zip(&other).flat_map(|(a, b)| [a, b]).collect();
        assert_eq!(verify_audit(mixed.iter().copied()), None);
        let without_second = mixed.iter().enumerate().filter(|(place, _)| *place != 2);
        let found = verify_audit(without_second.map(|(_, entry)| *entry));
        assert_eq!(found, Some(&one[2]));
        type Forge = fn(&mut AuditEntry);
        let forgeries: [Forge; 7] = [
            |entry| entry.at_ms += 1,
            |entry| entry.user = None,
            |entry| entry.by.name = "eve".to_owned(),
            |entry| entry.by.reason.push('!'),
            |entry| entry.by.role = Some(String::new()),
            |entry| entry.outcome = AuditOutcome::Failed,
            |entry| entry.action = AuditAction::End,
        ];
        for forge in forgeries {
            let mut forged = chain(1);
            forge(&mut forged[1]);
            assert_eq!(verify_audit(&forged), Some(&forged[2]));
        }
        assert_eq!(
            verify_audit(&one[1..]),
            Some(&one[1]),
            "the beginning is gone"
        );
    }
}
