//! For each rule a history that breaks it, and one like it that does not.

use super::*;
use crate::{
    history::{Incident, Kind, Outcome, Place, Remembered, Swept},
    token::{Secret, SessionName, Token},
};

/// Times are in milliseconds.
const CACHED: Terms = Terms {
    staleness: Duration::from_millis(1000),
    idle: Duration::from_secs(60),
    patience: Duration::from_millis(300),
};

const UNCACHED: Terms = Terms {
    staleness: Duration::ZERO,
    ..CACHED
};

/// A cookie of session 1.
fn cookie(secret: u128, counter: u64) -> Token {
    Token {
        session: SessionName(1),
        secret: Secret(secret),
        counter,
    }
}

const fn another_session() -> Token {
    Token {
        session: SessionName(2),
        secret: Secret(9),
        counter: 1,
    }
}

/// A request from one time to another. It says nothing about its answer yet.
fn ask(route: Route, from: u64, until: u64) -> Operation {
    Operation {
        jar: 0,
        part: Part::Tab(0),
        node: 0,
        route,
        pause: Duration::ZERO,
        sent: None,
        invoked: Duration::from_millis(from),
        returned: Duration::from_millis(until),
        outcome: Outcome::Broken,
        swept: None,
    }
}

impl Operation {
    fn with(mut self, sent: Token) -> Self {
        self.sent = Some(sent);
        self
    }

    fn of_jar(mut self, jar: usize) -> Self {
        self.jar = jar;
        self
    }

    fn answered(self, status: u16, body: &str) -> Self {
        self.answered_with(status, body, Cookie::Untouched)
    }

    fn setting(self, body: &str, token: Token) -> Self {
        self.answered_with(200, body, Cookie::Set(token))
    }

    fn answered_with(mut self, status: u16, body: &str, cookie: Cookie) -> Self {
        self.outcome = Outcome::Reply {
            status,
            body: body.to_owned(),
            cookie,
        };
        self
    }
}

/// A session with a count of 1, begun at the time 0 with the secret 1.
fn begun() -> Operation {
    ask(Route::Incr, 0, 5).setting("1", cookie(1, 1))
}

fn login(user: &str, from: u64, until: u64) -> Operation {
    let (user, remembered) = (user.to_owned(), Remembered::No);
    ask(Route::Login { user, remembered }, from, until)
}

fn set(value: &str, from: u64, until: u64) -> Operation {
    let (key, value) = ("k0", value.to_owned());
    ask(Route::Set { key, value }, from, until)
}

/// The login that replaces the secret 1 by 2, from 100 to 110.
fn logged_in() -> Operation {
    login("ada", 100, 110)
        .with(cookie(1, 1))
        .setting("ada", cookie(2, 2))
}

fn logged_out() -> Operation {
    ask(Route::Logout, 200, 210)
        .with(cookie(1, 1))
        .answered_with(200, "logged out", Cookie::Removed)
}

fn rules(terms: Terms, operations: impl IntoIterator<Item = Operation>) -> Vec<Rule> {
    let history = History {
        operations: operations.into_iter().collect(),
        incidents: vec![],
    };
    rules_of(&history, terms)
}

fn rules_of(history: &History, terms: Terms) -> Vec<Rule> {
    let violations = check(history, terms);
    violations.into_iter().map(|found| found.rule).collect()
}

#[test]
fn an_acknowledged_increment_that_a_later_commit_does_not_have_is_lost() {
    let second = |from, until| {
        let now = ask(Route::IncrNow, from, until).with(cookie(1, 1));
        now.setting("2", cookie(1, 2))
    };
    let third = |printed: &str| {
        let third = ask(Route::IncrNow, 20, 25).with(cookie(1, 1));
        third.setting(printed, cookie(1, 3))
    };
    let lost = rules(CACHED, [begun(), second(10, 15), third("2")]);
    assert!(lost.contains(&Rule::Lost), "{lost:?}");
    assert_eq!(rules(CACHED, [begun(), second(10, 15), third("3")]), []);
    // Side by side, either may have been first.
    let first = third("2");
    let late = ask(Route::IncrNow, 10, 30).with(cookie(1, 1));
    let late = late.setting("3", cookie(1, 4));
    assert_eq!(rules(CACHED, [begun(), first, late]), []);
}

#[test]
fn the_inventory_finds_what_was_lost_even_in_a_cached_answer() {
    let second = ask(Route::Incr, 10, 15).with(cookie(1, 1));
    let second = second.setting("2", cookie(1, 2));
    let inventory = |printed: &str| Operation {
        part: Part::Inventory,
        ..ask(Route::Read, 5000, 5005)
            .with(cookie(1, 1))
            .answered(200, printed)
    };
    let found = rules(CACHED, [begun(), second.clone(), inventory("1")]);
    assert_eq!(found, [Rule::Lost]);
    assert_eq!(rules(CACHED, [begun(), second, inventory("2")]), []);
}

#[test]
fn more_increments_than_were_asked_for_were_made_twice() {
    let read = |printed: &str| {
        let read = ask(Route::Read, 50, 55).with(cookie(1, 1));
        read.answered(200, printed)
    };
    assert_eq!(rules(CACHED, [begun(), read("2")]), [Rule::Twice]);
    // One whose client left may have happened, one that was refused cannot.
    let left = Operation {
        outcome: Outcome::Left,
        ..ask(Route::Incr, 10, 20).with(cookie(1, 1))
    };
    assert_eq!(rules(CACHED, [begun(), left, read("2")]), []);
    let refused = ask(Route::IncrNaive, 10, 20).with(cookie(1, 1));
    let refused = refused.answered(409, "");
    assert_eq!(rules(CACHED, [begun(), refused, read("2")]), [Rule::Twice]);
}

#[test]
fn of_two_commits_one_may_have_happened_when_the_request_is_refused() {
    let twice = ask(Route::IncrTwice, 10, 20).with(cookie(1, 1));
    let twice = twice.answered(409, "");
    let excuse = logged_in();
    let read = |printed: &str| {
        let read = ask(Route::Read, 150, 155).with(cookie(2, 2));
        read.answered(200, printed)
    };
    let found = |printed| {
        rules(
            CACHED,
            [begun(), twice.clone(), excuse.clone(), read(printed)],
        )
    };
    assert!(!found("2").contains(&Rule::Twice));
    assert!(found("3").contains(&Rule::Twice));
}

#[test]
fn a_refused_value_is_not_to_be_seen() {
    let wrote = |status| set("a", 10, 15).with(cookie(1, 1)).answered(status, "a");
    let read = ask(Route::Get("k0"), 20, 25).with(cookie(1, 1));
    let read = read.answered(200, "a");
    let found = rules(CACHED, [begun(), wrote(409), read.clone()]);
    assert!(found.contains(&Rule::Refused), "{found:?}");
    assert_eq!(rules(CACHED, [begun(), wrote(200), read.clone()]), []);
    assert_eq!(rules(CACHED, [begun(), wrote(503), read]), []);
}

#[test]
fn what_a_failed_request_inserted_is_not_to_be_seen() {
    let read = |printed: &str| {
        let read = ask(Route::Get("boom"), 20, 25).with(cookie(1, 1));
        read.answered(200, printed)
    };
    assert_eq!(rules(CACHED, [begun(), read("true")]), [Rule::RolledBack]);
    assert_eq!(rules(CACHED, [begun(), read("-")]), []);
}

#[test]
fn two_commits_print_two_values() {
    let commit = |route, printed: &str| {
        let commit = ask(route, 10, 20).with(cookie(1, 1));
        commit.setting(printed, cookie(1, 3))
    };
    let first = commit(Route::IncrNow, "2");
    let same = commit(Route::IncrTwice, "3");
    let found = rules(
        CACHED,
        [begun(), first.clone(), commit(Route::IncrNaive, "2")],
    );
    assert_eq!(found, [Rule::Unique]);
    assert_eq!(rules(CACHED, [begun(), first, same]), []);
}

#[test]
fn a_browser_sees_nothing_older_than_its_cookie() {
    let second = ask(Route::Incr, 10, 15).with(cookie(1, 1));
    let second = second.setting("2", cookie(1, 2));
    // Within Δ, so that only the cookie demands it.
    let read = |sent, printed: &str| ask(Route::Read, 20, 25).with(sent).answered(200, printed);
    let version = |sent, printed: &str| {
        ask(Route::Version, 20, 25)
            .with(sent)
            .answered(200, printed)
    };
    let found = |last| rules(CACHED, [begun(), second.clone(), last]);
    assert_eq!(found(read(cookie(1, 2), "1")), [Rule::Floor]);
    assert_eq!(found(read(cookie(1, 2), "2")), []);
    assert_eq!(found(read(cookie(1, 1), "1")), []);
    assert_eq!(found(version(cookie(1, 2), "1")), [Rule::Floor]);
    assert_eq!(found(version(cookie(1, 1), "1")), []);
}

#[test]
fn a_read_sees_nothing_older_than_the_near_cache_may_give() {
    let second = ask(Route::Incr, 10, 15).with(cookie(1, 1));
    let second = second.setting("2", cookie(1, 2));
    let read = |from| {
        ask(Route::Read, from, from + 5)
            .with(cookie(1, 1))
            .answered(200, "1")
    };
    let version = |from| {
        ask(Route::Version, from, from + 5)
            .with(cookie(1, 1))
            .answered(200, "1")
    };
    let found = |terms, last| rules(terms, [begun(), second.clone(), last]);
    assert_eq!(found(CACHED, read(1010)), []);
    assert_eq!(found(CACHED, read(1020)), [Rule::Stale]);
    assert_eq!(found(CACHED, version(1010)), []);
    assert_eq!(found(CACHED, version(1020)), [Rule::Stale]);
    // Without a near cache, every read asks.
    assert_eq!(found(UNCACHED, read(20)), [Rule::Stale]);
    // `refresh` asks in any case.
    let refresh = ask(Route::Refresh, 20, 25).with(cookie(1, 1));
    assert_eq!(found(CACHED, refresh.answered(200, "1")), [Rule::Lost]);
}

#[test]
fn an_overwritten_value_is_not_to_be_seen() {
    let first = set("a", 10, 15).with(cookie(1, 1)).answered(200, "a");
    let second = |from| set("b", from, 40).with(cookie(1, 1)).answered(200, "b");
    let read = ask(Route::Get("k0"), 50, 55).with(cookie(1, 1));
    let read = read.answered(200, "a");
    let found = rules(UNCACHED, [begun(), first.clone(), second(20), read.clone()]);
    assert_eq!(found, [Rule::Stale]);
    // The second began before the first was answered: the first may be the last.
    assert_eq!(rules(UNCACHED, [begun(), first, second(12), read]), []);
}

#[test]
fn after_a_logout_no_cookie_gives_access() {
    let read = |from| {
        ask(Route::Version, from, from + 5)
            .with(cookie(1, 1))
            .answered(200, "1")
    };
    let found = |terms, last| rules(terms, [begun(), logged_out(), last]);
    assert_eq!(found(UNCACHED, read(220)), [Rule::Ended]);
    // Under way at the same time, or within Δ of a near cache.
    assert_eq!(found(UNCACHED, read(205)), []);
    assert_eq!(found(CACHED, read(1200)), []);
    assert_eq!(found(CACHED, read(1220)), [Rule::Ended]);
    // A write asks the store.
    let write = set("a", 220, 225).with(cookie(1, 1));
    assert_eq!(
        found(CACHED, write.setting("a", cookie(1, 2))),
        [Rule::Ended]
    );
    let anew = set("a", 220, 225).with(cookie(1, 1));
    assert_eq!(found(CACHED, anew.setting("a", another_session())), []);
}

#[test]
fn a_logout_of_unknown_outcome_or_with_an_old_secret_ends_nothing_for_certain() {
    let unknown = Operation {
        outcome: Outcome::Left,
        ..logged_out()
    };
    let read = |secret| {
        let read = ask(Route::Version, 5000, 5005).with(cookie(secret, 2));
        read.answered(200, "2")
    };
    assert_eq!(rules(CACHED, [begun(), unknown, read(1)]), []);
    assert_eq!(
        rules(CACHED, [begun(), logged_in(), logged_out(), read(2)]),
        []
    );
}

#[test]
fn a_replaced_secret_gives_no_access() {
    let read = |from| {
        ask(Route::WhoAmI, from, from + 5)
            .with(cookie(1, 1))
            .answered(200, "ada")
    };
    let found = |terms, last| rules(terms, [begun(), logged_in(), last]);
    assert_eq!(found(UNCACHED, read(120)), [Rule::Replaced]);
    assert_eq!(found(UNCACHED, read(105)), []);
    assert_eq!(found(CACHED, read(1100)), []);
    assert_eq!(found(CACHED, read(1120)), [Rule::Replaced]);
    let write = ask(Route::IncrNow, 120, 125).with(cookie(1, 1));
    let written = write.clone().setting("2", cookie(2, 3));
    assert_eq!(found(CACHED, written), [Rule::Replaced]);
    assert_eq!(found(CACHED, write.answered(409, "")), []);
}

#[test]
fn a_late_answer_does_not_bring_a_replaced_cookie_back() {
    let late = |until| {
        let late = set("a", 90, until).with(cookie(1, 1));
        late.setting("a", cookie(1, 2))
    };
    let history = |until, incidents| History {
        operations: vec![begun(), logged_in(), late(until)],
        incidents,
    };
    let held_up = |kind, node| Incident {
        from: Duration::from_millis(50),
        until: Duration::from_millis(400),
        what: String::new(),
        place: Place::Node(node),
        kind,
    };
    assert_eq!(rules_of(&history(500, vec![]), CACHED), [Rule::LateCookie]);
    // It may have left its node in time.
    assert_eq!(rules_of(&history(300, vec![]), CACHED), []);
    let delayed = history(500, vec![held_up(Kind::Delay, 0)]);
    assert_eq!(rules_of(&delayed, CACHED), []);
    for harmless in [held_up(Kind::Delay, 1), held_up(Kind::Loss, 0)] {
        let history = history(500, vec![harmless]);
        assert_eq!(rules_of(&history, CACHED), [Rule::LateCookie]);
    }
}

#[test]
fn a_session_that_nobody_ended_is_there() {
    let read = ask(Route::Version, 220, 225).with(cookie(1, 1));
    let read = read.answered(200, "0");
    assert_eq!(rules(CACHED, [begun(), read.clone()]), [Rule::Vanished]);
    for end in [logged_in(), logged_out()] {
        assert_eq!(rules(CACHED, [begun(), end, read.clone()]), []);
    }
    let left = Operation {
        outcome: Outcome::Left,
        ..logged_out()
    };
    assert_eq!(rules(CACHED, [begun(), left, read.clone()]), []);
    let refused = logged_out().answered(409, "");
    let found = rules(CACHED, [begun(), refused, read]);
    assert!(found.contains(&Rule::Vanished), "{found:?}");
}

#[test]
fn a_logout_with_a_replaced_secret_does_not_excuse_that_the_session_is_gone() {
    let read = ask(Route::Version, 220, 225).with(cookie(2, 2));
    let read = read.answered(200, "0");
    let found = rules(CACHED, [begun(), logged_in(), logged_out(), read.clone()]);
    assert_eq!(found, [Rule::Vanished]);
    let own = Operation {
        sent: Some(cookie(2, 2)),
        ..logged_out()
    };
    assert_eq!(rules(CACHED, [begun(), logged_in(), own, read]), []);
}

#[test]
fn a_logout_that_meets_a_rotation_may_end_the_session_and_one_that_follows_it_may_not() {
    let rotated = ask(Route::Rotate, 100, 110).with(cookie(1, 1));
    let rotated = rotated.setting("rotated", cookie(2, 2));
    let logout = |from| Operation {
        invoked: Duration::from_millis(from),
        ..logged_out()
    };
    let read = ask(Route::Version, 220, 225).with(cookie(2, 2));
    let read = read.answered(200, "0");
    let found = |from| {
        rules(
            UNCACHED,
            [begun(), rotated.clone(), logout(from), read.clone()],
        )
    };
    assert_eq!(found(105), []);
    assert_eq!(found(115), [Rule::Vanished]);
}

#[test]
fn a_value_that_was_set_and_a_count_that_was_reached_are_not_empty() {
    let read = |route, printed: &str| {
        let read = ask(route, 5000, 5005).with(cookie(1, 1));
        read.answered(200, printed)
    };
    let found = rules(CACHED, [begun(), read(Route::Read, "0")]);
    assert_eq!(found, [Rule::Vanished]);
    let wrote = set("a", 10, 15).with(cookie(1, 1)).answered(200, "a");
    let found = rules(CACHED, [begun(), wrote, read(Route::Get("k0"), "-")]);
    assert_eq!(found, [Rule::Vanished]);
    // Nobody set anything.
    assert_eq!(rules(CACHED, [begun(), read(Route::Get("k0"), "-")]), []);
    assert_eq!(rules(CACHED, [begun(), read(Route::WhoAmI, "-")]), []);
}

#[test]
fn a_session_without_activity_may_have_expired() {
    let read = |from| {
        let read = ask(Route::Version, from, from + 5).with(cookie(1, 1));
        read.answered(200, "0")
    };
    assert_eq!(rules(CACHED, [begun(), read(40_000)]), [Rule::Vanished]);
    assert_eq!(rules(CACHED, [begun(), read(60_000)]), []);
}

#[test]
fn an_answer_removes_no_other_sessions_cookie() {
    let late = Operation {
        swept: Some(Swept {
            token: cookie(1, 1),
            at: Duration::from_millis(50),
        }),
        ..ask(Route::Read, 10, 40)
            .with(another_session())
            .answered_with(200, "0", Cookie::Removed)
    };
    let found = rules(CACHED, [begun(), late.clone()]);
    assert!(found.contains(&Rule::Swept), "{found:?}");
    // It was worth nothing by then.
    let ended = Operation {
        invoked: Duration::from_millis(20),
        returned: Duration::from_millis(30),
        ..logged_out()
    };
    assert!(!rules(CACHED, [begun(), ended, late.clone()]).contains(&Rule::Swept));
    // A logout and a login at once may end either way.
    let logout = Operation {
        route: Route::Logout,
        ..late
    };
    assert_eq!(rules(CACHED, [begun(), logout]), []);
}

#[test]
fn a_jar_gets_only_what_is_its_own() {
    let foreign = ask(Route::Incr, 10, 15).of_jar(1);
    let foreign = foreign.setting("2", cookie(1, 2));
    assert_eq!(rules(CACHED, [begun(), foreign.clone()]), [Rule::MixedUp]);
    let own = foreign.setting("1", another_session());
    assert_eq!(rules(CACHED, [begun(), own]), []);
}

#[test]
fn a_session_shows_only_what_was_set_in_it() {
    let other = set("theirs", 10, 15).of_jar(1);
    let other = other.setting("theirs", another_session());
    let own = set("ours", 10, 15).with(cookie(1, 1)).answered(200, "ours");
    let read = |printed: &str| {
        let read = ask(Route::Get("k0"), 20, 25).with(cookie(1, 1));
        read.answered(200, printed)
    };
    let found = |printed| rules(CACHED, [begun(), other.clone(), own.clone(), read(printed)]);
    assert_eq!(found("theirs"), [Rule::MixedUp]);
    assert_eq!(found("nonsense"), [Rule::MixedUp]);
    assert_eq!(found("ours"), []);
}

#[test]
fn an_answer_is_one_that_its_route_gives() {
    let answer =
        |status, body: &str| rules(CACHED, [ask(Route::Read, 0, 5).answered(status, body)]);
    assert_eq!(answer(500, ""), [Rule::Status]);
    assert_eq!(answer(404, ""), [Rule::Status]);
    assert_eq!(answer(200, "many"), [Rule::Status]);
    assert_eq!(answer(200, "0"), []);
    assert_eq!(answer(503, ""), []);
    assert_eq!(
        rules(CACHED, [ask(Route::Boom, 0, 5).answered(500, "boom")]),
        []
    );
    let garbled = ask(Route::Incr, 0, 5).answered_with(200, "1", Cookie::Garbled);
    assert_eq!(rules(CACHED, [garbled]), [Rule::Status]);
}

#[test]
fn every_node_serves_when_all_is_mended() {
    let inventory = |status| Operation {
        part: Part::Inventory,
        ..ask(Route::Refresh, 0, 5).answered(status, "0")
    };
    assert_eq!(rules(CACHED, [inventory(503)]), [Rule::Recovery]);
    assert_eq!(rules(CACHED, [inventory(200)]), []);
    let dead = Operation {
        outcome: Outcome::Broken,
        ..inventory(200)
    };
    assert_eq!(rules(CACHED, [dead]), [Rule::Recovery]);
}

/// Ends all of a user's logins, from 200 to 210.
fn swept(user: &str) -> Operation {
    let user = user.to_owned();
    let other = ask(Route::EndAll { user }, 200, 210).of_jar(7);
    other.answered(200, "1")
}

#[test]
fn after_the_end_of_all_logins_none_of_them_gives_access() {
    let open = |secret: u8, from| {
        let token = cookie(secret.into(), secret.into());
        let read = ask(Route::Version, from, from + 5).with(token);
        read.answered(200, &secret.to_string())
    };
    let rotated = ask(Route::Rotate, 150, 160).with(cookie(2, 2));
    let rotated = rotated.setting("rotated", cookie(3, 3));
    let found = |terms, user, last| rules(terms, [begun(), logged_in(), swept(user), last]);
    assert_eq!(found(UNCACHED, "ada", open(2, 220)), [Rule::Ended]);
    assert_eq!(found(UNCACHED, "ada", open(2, 205)), []);
    assert_eq!(found(CACHED, "ada", open(2, 1200)), []);
    assert_eq!(found(CACHED, "ada", open(2, 1220)), [Rule::Ended]);
    // A secret that was drawn without another login is no way out; another user's login is.
    let after_rotation = [begun(), logged_in(), rotated, swept("ada"), open(3, 220)];
    assert_eq!(rules(UNCACHED, after_rotation), [Rule::Ended]);
    assert_eq!(found(UNCACHED, "grace", open(2, 220)), []);
    let later = login("grace", 160, 170).with(cookie(2, 2));
    let later = later.setting("grace", cookie(3, 3));
    let other_user = [begun(), logged_in(), later, swept("ada"), open(3, 220)];
    assert_eq!(rules(UNCACHED, other_user), []);
    // Unless it had not been made when the ending began.
    let under_way = Operation {
        returned: Duration::from_millis(205),
        ..logged_in()
    };
    let late = [begun(), under_way, swept("ada"), open(2, 220)];
    assert_eq!(rules(UNCACHED, late), []);
}

#[test]
fn the_end_of_a_users_logins_excuses_that_their_session_is_gone_and_no_other() {
    let closed = ask(Route::Version, 220, 225).with(cookie(2, 2));
    let closed = closed.answered(200, "0");
    let found = |user| {
        rules(
            UNCACHED,
            [begun(), logged_in(), swept(user), closed.clone()],
        )
    };
    assert_eq!(found("ada"), []);
    assert_eq!(found("grace"), [Rule::Vanished]);
    // Nor may it end a login that began after it.
    let later = login("ada", 300, 310).with(cookie(1, 1));
    let later = later.setting("ada", cookie(2, 2));
    let closed = Operation {
        invoked: Duration::from_millis(320),
        returned: Duration::from_millis(325),
        ..closed
    };
    assert_eq!(
        rules(UNCACHED, [begun(), swept("ada"), later, closed]),
        [Rule::Vanished]
    );
}

#[test]
fn a_node_for_which_the_machine_had_no_time_need_not_have_served() {
    let history = |from, until| History {
        operations: vec![Operation {
            part: Part::Inventory,
            ..ask(Route::Refresh, 100, 1200).answered(503, "")
        }],
        incidents: vec![Incident {
            from: Duration::from_millis(from),
            until: Duration::from_millis(until),
            what: "the machine was busy".to_owned(),
            place: Place::Everywhere,
            kind: Kind::Busy,
        }],
    };
    assert_eq!(rules_of(&history(900, 1100), CACHED), []);
    for (from, until) in [(0, 90), (1300, 1400)] {
        assert_eq!(rules_of(&history(from, until), CACHED), [Rule::Recovery]);
    }
}
