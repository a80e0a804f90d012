//! Principals' rolls, in terms of SQL: read as values, which decide, and written back by what has changed.

use rusqlite::{OptionalExtension, Row, types::Type};
use tenure_core::{
    Epoch, LoginEntry, LoginName, LoginRoll, LoginState, Principal, StoreError, Timestamp,
    UserCursor, UserPage, UserStanding,
};

use crate::{
    error::corrupt,
    sessions::{Sessions, millis},
};

/// Which of a principal's logins a verb looks at and changes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'a> {
    All,
    /// So that a verb on one login does not read thousands.
    Only(&'a [LoginName]),
}

/// A roll, and under which number it is stored.
struct Kept {
    number: i64,
    roll: LoginRoll,
}

impl Sessions<'_> {
    /// One verb on a principal's roll, in a transaction that is for writing: all of it, or nothing.
    pub(crate) fn change_roll<T>(
        &self,
        user: &Principal,
        scope: Scope<'_>,
        change: impl FnOnce(&mut LoginRoll, Timestamp) -> T,
    ) -> Result<T, StoreError> {
        let kept = self.roll(user, scope)?;
        let (number, before) = match kept {
            Some(Kept { number, roll }) => (Some(number), roll),
            None => (None, LoginRoll::default()),
        };
        let mut after = before.clone();
        let outcome = change(&mut after, self.now);
        self.atomically(|| self.write_roll(user, number, &before, &after))?;
        Ok(outcome)
    }

    /// A principal's logins alone, from one statement.
    pub(crate) fn logins_of(&self, user: &Principal) -> Result<LoginRoll, StoreError> {
        let sql = "SELECT login, state, time FROM logins
                   WHERE roll = (SELECT id FROM rolls WHERE principal = ?1)";
        let entries = self.all(sql, [user.as_str()], entry)?;
        Ok(LoginRoll {
            entries: entries.into_iter().collect(),
            ..LoginRoll::default()
        })
    }

    pub(crate) fn standing_of(&self, user: &Principal) -> Result<UserStanding, StoreError> {
        let sql = "SELECT epoch, blocked_in FROM rolls WHERE principal = ?1";
        let standing = self.one(sql, [user.as_str()], |row| {
            Ok(UserStanding {
                epoch: epoch(row.get(0)?),
                blocked_in: row.get::<_, Option<_>>(1)?.map(epoch),
            })
        })?;
        Ok(standing.unwrap_or_default())
    }

    /// The principals in the order of their names. A cursor is the last name.
    pub(crate) fn users(&self, after: Option<&UserCursor>) -> Result<UserPage, StoreError> {
        let after = after.map_or(Ok(""), |cursor| std::str::from_utf8(cursor.as_bytes()));
        let after = after.map_err(|_| corrupt("a foreign cursor"))?;
        let sql = "SELECT principal FROM rolls WHERE principal > ?1 ORDER BY principal LIMIT ?2";
        let names = self.all(sql, (after, USERS_PER_PAGE), |row| row.get::<_, String>(0))?;
        let is_full = i64::try_from(names.len()) == Ok(USERS_PER_PAGE);
        let last = names.last().filter(|_| is_full).cloned();
        let users = names.into_iter().map(Principal::new);
        Ok(UserPage {
            users: users
                .collect::<Result<_, _>>()
                .map_err(|_| corrupt("a name that nobody can have"))?,
            next: last.map(|name| UserCursor::new(name.into_bytes())),
        })
    }

    pub(crate) fn gate(&self) -> Result<Epoch, StoreError> {
        let found = self.one("SELECT epoch FROM gate", (), |row| row.get(0))?;
        Ok(found.map(epoch).unwrap_or_default())
    }

    pub(crate) fn raise_gate(&self, to: Epoch) -> Result<Epoch, StoreError> {
        let present = self.gate()?;
        if to > present {
            let sql = "INSERT OR REPLACE INTO gate (only, epoch) VALUES (1, ?1)";
            self.execute(sql, [bits(to)])?;
        }
        Ok(present.max(to))
    }

    /// The numbers of some rolls that nothing is lost by dropping.
    pub(crate) fn rolls_that_are_over(&self, most: i64) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT id FROM rolls WHERE blocked_in IS NULL AND kept_until <= ?1
                   ORDER BY kept_until LIMIT ?2";
        self.all(sql, [millis(self.now), most], |row| row.get(0))
    }

    pub(crate) fn drop_roll(&self, number: i64) -> Result<(), StoreError> {
        self.execute("DELETE FROM logins WHERE roll = ?1", [number])?;
        self.execute("DELETE FROM rolls WHERE id = ?1", [number])?;
        Ok(())
    }

    fn roll(&self, user: &Principal, scope: Scope<'_>) -> Result<Option<Kept>, StoreError> {
        let sql =
            "SELECT id, epoch, blocked_in, endings, kept_until FROM rolls WHERE principal = ?1";
        let kept = self.one(sql, [user.as_str()], |row| {
            let endings: Vec<u8> = row.get(3)?;
            let (tags, _) = endings.as_chunks();
            let kept_until: i64 = row.get(4)?;
            let roll = LoginRoll {
                epoch: epoch(row.get(1)?),
                endings: tags.iter().map(|tag| u64::from_be_bytes(*tag)).collect(),
                blocked_in: row.get::<_, Option<_>>(2)?.map(epoch),
                kept_until: Timestamp::from_millis(kept_until.try_into().unwrap_or(0)),
                ..LoginRoll::default()
            };
            Ok(Kept {
                number: row.get(0)?,
                roll,
            })
        })?;
        let Some(mut kept) = kept else {
            return Ok(None);
        };
        match scope {
            Scope::All => {
                let sql = "SELECT login, state, time FROM logins WHERE roll = ?1";
                let entries = self.all(sql, [kept.number], entry)?;
                kept.roll.entries = entries.into_iter().collect();
            }
            Scope::Only(names) => {
                let sql = "SELECT login, state, time FROM logins WHERE roll = ?1 AND login = ?2";
                for name in names {
                    let found = self.one(sql, (kept.number, &name.to_bytes()[..]), entry)?;
                    kept.roll.entries.extend(found);
                }
            }
        }
        Ok(Some(kept))
    }

    fn write_roll(
        &self,
        user: &Principal,
        number: Option<i64>,
        before: &LoginRoll,
        after: &LoginRoll,
    ) -> Result<(), StoreError> {
        let number = match number {
            _ if before == after => return Ok(()),
            None if after.is_blank() => return Ok(()),
            // Others than those that were read may be left.
            Some(number) if after.is_blank() => {
                self.drop_logins(number, before, after)?;
                let sql = "DELETE FROM rolls WHERE id = ?1
                           AND NOT EXISTS (SELECT 1 FROM logins WHERE roll = ?1)";
                self.execute(sql, [number])?;
                return Ok(());
            }
            Some(number) if is_same_but_for_entries(before, after) => number,
            Some(_) | None => self.write_head(user, after)?,
        };
        self.drop_logins(number, before, after)?;
        for (login, entry) in &after.entries {
            if before.entries.get(login) == Some(entry) {
                continue;
            }
            let state = match entry.state {
                LoginState::Confirmed => CONFIRMED,
                LoginState::Reserved => RESERVED,
                LoginState::Condemned => CONDEMNED,
            };
            let time = entry.time.as_millis().cast_signed();
            let sql =
                "INSERT OR REPLACE INTO logins (roll, login, state, time) VALUES (?1, ?2, ?3, ?4)";
            self.execute(sql, (number, &login.to_bytes()[..], state, time))?;
        }
        Ok(())
    }

    fn drop_logins(
        &self,
        number: i64,
        before: &LoginRoll,
        after: &LoginRoll,
    ) -> Result<(), StoreError> {
        let gone = before.entries.keys();
        for login in gone.filter(|login| !after.entries.contains_key(login)) {
            let sql = "DELETE FROM logins WHERE roll = ?1 AND login = ?2";
            self.execute(sql, (number, &login.to_bytes()[..]))?;
        }
        Ok(())
    }

    /// Everything but the logins. Returns the roll's number.
    fn write_head(&self, user: &Principal, roll: &LoginRoll) -> Result<i64, StoreError> {
        let sql = "INSERT INTO rolls (principal, epoch, blocked_in, endings, kept_until)
                   VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (principal) DO UPDATE SET
                       epoch = excluded.epoch, blocked_in = excluded.blocked_in,
                       endings = excluded.endings, kept_until = excluded.kept_until";
        let endings: Vec<u8> = roll
            .endings
            .iter()
            .flat_map(|tag| tag.to_be_bytes())
            .collect();
        let values = (
            user.as_str(),
            bits(roll.epoch),
            roll.blocked_in.map(bits),
            endings,
            millis(roll.kept_until),
        );
        self.execute(sql, values)?;
        let sql = "SELECT id FROM rolls WHERE principal = ?1";
        let number = self.one(sql, [user.as_str()], |row| row.get(0))?;
        number.ok_or_else(|| corrupt("what was written is not there"))
    }

    fn one<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let select = self.connection.prepare_cached(sql);
        self.noted(select.and_then(|mut select| select.query_row(values, read).optional()))
    }

    fn all<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let select = self.connection.prepare_cached(sql);
        self.noted(select.and_then(|mut select| select.query_map(values, read)?.collect()))
    }
}

fn is_same_but_for_entries(one: &LoginRoll, other: &LoginRoll) -> bool {
    (one.epoch, one.blocked_in, one.kept_until, &one.endings)
        == (
            other.epoch,
            other.blocked_in,
            other.kept_until,
            &other.endings,
        )
}

fn entry(row: &Row<'_>) -> rusqlite::Result<(LoginName, LoginEntry)> {
    let foreign = |column, kind, what: &str| {
        rusqlite::Error::FromSqlConversionFailure(column, kind, what.into())
    };
    let name: Vec<u8> = row.get(0)?;
    let name = LoginName::from_bytes(&name);
    let name = name.ok_or_else(|| foreign(0, Type::Blob, "not the name of a login"))?;
    let state = match row.get(1)? {
        CONFIRMED => LoginState::Confirmed,
        RESERVED => LoginState::Reserved,
        CONDEMNED => LoginState::Condemned,
        _ => return Err(foreign(1, Type::Integer, "not the state of a login")),
    };
    let time = Timestamp::from_millis(row.get::<_, i64>(2)?.cast_unsigned());
    Ok((name, LoginEntry { state, time }))
}

const fn epoch(bits: i64) -> Epoch {
    Epoch::from_u64(bits.cast_unsigned())
}

const fn bits(epoch: Epoch) -> i64 {
    epoch.as_u64().cast_signed()
}

const CONFIRMED: i64 = 0;
const RESERVED: i64 = 1;
const CONDEMNED: i64 = 2;

const USERS_PER_PAGE: i64 = 100;
