//! What is to be said of a history.

/// Figures, and in words what must not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub confirmed: u64,
    /// Settlements that were answered.
    pub settled: u64,
    pub transactions: u64,
    /// Deliveries of what had been delivered before; they are allowed.
    pub duplicates: u64,
    /// Confirmed, not settled, and not there.
    pub lost: Vec<String>,
    /// Never published there.
    pub unexpected: Vec<String>,
    /// Not the body that was sent.
    pub corrupt: Vec<String>,
    /// Seen before, and it does not say so.
    pub unmarked: Vec<String>,
    /// First deliveries of one publisher that are not in its order.
    pub disorder: Vec<String>,
    /// Twice in a queue, or delivered while somebody has it.
    pub doubled: Vec<String>,
    /// Settled for good, or known to be gone, and back.
    pub resurrected: Vec<String>,
    /// Some of a transaction, and not the rest.
    pub half: Vec<String>,
}

impl Verdict {
    pub fn faults(&self) -> [(&'static str, &Vec<String>); 8] {
        [
            ("lost", &self.lost),
            ("unexpected", &self.unexpected),
            ("corrupt", &self.corrupt),
            ("not marked as redelivered", &self.unmarked),
            ("out of order", &self.disorder),
            ("doubled", &self.doubled),
            ("resurrected", &self.resurrected),
            ("half transactions", &self.half),
        ]
    }

    pub fn is_clean(&self) -> bool {
        self.faults().iter().all(|(_, found)| found.is_empty())
    }

    pub fn summary(&self) -> String {
        let Self { confirmed, settled, transactions, duplicates, .. } = self;
        let faults = self.faults().map(|(name, found)| format!("{name} {}", found.len()));
        format!(
            "confirmed {confirmed}, settled {settled}, transactions {transactions}, duplicates \
             {duplicates}, {}",
            faults.join(", ")
        )
    }
}
