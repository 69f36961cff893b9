//! What is counted: small pieces of the hot path, each doing the same in every round.

mod queues;
mod routes;
mod turns;
mod wires;

/// Rounds before counting begins, in which buffers and tables grow to their size.
pub(crate) const WARM_UP: usize = 8;
/// Rounds that are counted.
pub(crate) const ROUNDS: usize = 32;

/// One row of the record.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What one unit of it is.
    pub(crate) what: &'static str,
    pub(crate) prepare: fn() -> Round,
}

/// The same work, again and again.
pub(crate) struct Round {
    /// How many units one call does.
    pub(crate) units: usize,
    pub(crate) work: Box<dyn FnMut()>,
}

impl Round {
    fn new(units: usize, work: impl FnMut() + 'static) -> Self {
        Self { units, work: Box::new(work) }
    }
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    [wires::SCENARIOS, routes::SCENARIOS, queues::SCENARIOS, turns::SCENARIOS].into_iter().flatten()
}
