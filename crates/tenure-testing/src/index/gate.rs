use tenure_core::{Epoch, SessionIndex};

use super::{Fixture, account::no_fault};

/// The epoch of all sessions moves on when it is told to.
pub async fn the_gate_is_raised(fixture: impl Fixture<Store: SessionIndex>) {
    for _ in 0..3 {
        let before = no_fault("gate", fixture.store().gate().await);
        let to = Epoch::from_u64(before.as_u64() + 1_700_000_000_000);
        let raised = no_fault("raise_gate", fixture.store().raise_gate(to).await);
        assert!(raised >= to, "it is not as high as it was raised");
        assert!(no_fault("gate", fixture.store().gate().await) >= raised);
    }
}

/// It never moves back, whatever comes late.
pub async fn the_gate_is_never_lowered(fixture: impl Fixture<Store: SessionIndex>) {
    let gate = no_fault("gate", fixture.store().gate().await);
    let high = Epoch::from_u64(gate.as_u64() + 1000);
    let raised = no_fault("raise_gate", fixture.store().raise_gate(high).await);
    for late in [Epoch::default(), gate, Epoch::from_u64(high.as_u64() - 1)] {
        let answer = no_fault("raise_gate", fixture.store().raise_gate(late).await);
        assert!(answer >= raised, "a late call is told where it is");
        assert!(no_fault("gate", fixture.store().gate().await) >= raised);
    }
}
