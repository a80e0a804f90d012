//! A stand-in for a user table.
//!
//! A real one keeps a slow, salted hash of each password (Argon2id, with a maintained crate such as
//! `argon2`), compares in constant time, spends the same time on names that it does not know, and
//! computes off the async threads. All that is left out here: these passwords are public.

/// The user of that name, if the password is theirs.
pub(crate) fn authenticate(name: &str, password: &str) -> Option<&'static str> {
    let user = USERS.iter().find(|user| user.name == name)?;
    (user.password == password).then_some(user.name)
}

/// Whether that is the user's second factor. A real one changes: a passkey, or a TOTP that is accepted
/// once.
pub(crate) fn is_second_factor(name: &str, code: &str) -> bool {
    USERS
        .iter()
        .any(|user| user.name == name && user.code == code)
}

struct Account {
    name: &'static str,
    password: &'static str,
    code: &'static str,
}

const USERS: &[Account] = &[
    Account {
        name: "ada",
        password: "analytical-engine",
        code: "1852",
    },
    Account {
        name: "grace",
        password: "nanoseconds",
        code: "1906",
    },
];
