//! What each message may still do, by what its clients know, held against what is found after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Numbers;
use super::clients::takes_token;

/// What is known of one message in one queue.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Sent; whether it arrived is open.
    Sent,
    /// Must be there.
    Promised,
    /// Acknowledged; whether that arrived is open.
    Acknowledged,
}

#[derive(Debug, Default)]
pub struct Ledger {
    /// Of those that may still be there.
    fates: HashMap<&'static str, BTreeMap<u64, Fate>>,
    /// Those that must not come back.
    gone: HashSet<(&'static str, u64)>,
    seen: BTreeMap<(&'static str, u64), u64>,
    committed: BTreeSet<u64>,
    /// Transactions found once, and acknowledged since.
    forgotten: BTreeSet<u64>,
    last_token: u64,
    confirmed: u64,
    settled: u64,
    lost: Vec<String>,
    half: Vec<String>,
    resurrected: Vec<String>,
    disorder: Vec<String>,
    twice: u64,
}

impl Ledger {
    pub fn sent(&mut self, numbers: Numbers) {
        self.now(numbers, Fate::Sent);
    }

    pub fn promised(&mut self, numbers: Numbers) {
        self.confirmed += numbers.len() as u64;
        self.now(numbers, Fate::Promised);
    }

    pub fn acknowledged(&mut self, numbers: Numbers) {
        self.now(numbers, Fate::Acknowledged);
    }

    pub fn settled(&mut self, numbers: Numbers) {
        self.settled += numbers.len() as u64;
        for (queue, number) in numbers {
            self.fates.entry(queue).or_default().remove(&number);
            self.gone.insert((queue, number));
        }
    }

    pub fn committed(&mut self, transactions: Vec<u64>) {
        self.confirmed += transactions.len() as u64;
        self.committed.extend(transactions);
    }

    pub fn delivered(&mut self, numbers: &Numbers) {
        for message in numbers {
            *self.seen.entry(*message).or_default() += 1;
        }
        for queue in super::WORK {
            let order: Vec<u64> =
                numbers.iter().filter(|it| it.0 == queue).map(|it| it.1).collect();
            self.check_order(queue, &order);
        }
    }

    /// What a queue holds after a restart. From now on that is what must stay, and the rest must stay away.
    pub fn check(&mut self, queue: &'static str, found: &[u64]) {
        self.check_order(queue, found);
        let present: BTreeSet<u64> = found.iter().copied().collect();
        self.twice += (found.len() - present.len()) as u64;
        for (number, fate) in self.fates.remove(queue).unwrap_or_default() {
            if present.contains(&number) {
                continue;
            }
            if fate == Fate::Promised {
                self.lost.push(format!("{queue} {number:x}"));
            }
            self.gone.insert((queue, number));
        }
        for number in &present {
            if self.gone.contains(&(queue, *number)) {
                self.resurrected.push(format!("{queue} {number:x}"));
            }
        }
        self.now(present.into_iter().map(|number| (queue, number)).collect(), Fate::Promised);
    }

    /// Transactions are in both queues or in none, and the token is that of the last one. All of them are settled now.
    pub fn check_transactions(&mut self, pair: &[Vec<u64>; 2], tokens: &[u64]) {
        let [left, right] = pair.each_ref().map(|it| it.iter().copied().collect::<BTreeSet<u64>>());
        self.twice += (pair[0].len() - left.len() + pair[1].len() - right.len()) as u64;
        for transaction in left.symmetric_difference(&right) {
            self.half.push(format!("{transaction:x} is in one queue only"));
        }
        for transaction in left.union(&right) {
            if self.forgotten.contains(transaction) {
                self.resurrected.push(format!("transaction {transaction:x}"));
            }
        }
        for transaction in std::mem::take(&mut self.committed) {
            if !left.contains(&transaction) {
                self.lost.push(format!("transaction {transaction:x}"));
            }
        }
        for queue in pair {
            if !queue.is_sorted() {
                self.disorder.push(format!("transactions {queue:x?}"));
            }
        }
        let last = left.iter().copied().filter(|it| takes_token(*it)).max();
        self.settled += (left.len() + right.len()) as u64;
        self.forgotten.extend(left);
        self.last_token = last.unwrap_or(self.last_token);
        if tokens != [self.last_token] {
            let last = self.last_token;
            self.half.push(format!("token {tokens:x?}, not {last:x}; last in the pair {pair:x?}"));
        }
    }

    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    pub fn summary(&self) -> String {
        let duplicates: u64 = self.seen.values().map(|times| times - 1).sum();
        format!(
            "confirmed {}, settled {}, lost {}, half transactions {}, resurrected {}, out of order {}, \
             twice in a queue {}, duplicates {duplicates}",
            self.confirmed,
            self.settled,
            self.lost.len(),
            self.half.len(),
            self.resurrected.len(),
            self.disorder.len(),
            self.twice,
        )
    }

    pub fn assert_nothing_broken(&self) {
        assert_eq!(self.lost, [""; 0], "confirmed and lost");
        assert_eq!(self.half, [""; 0], "half transactions");
        assert_eq!(self.resurrected, [""; 0], "settled and back");
        assert_eq!(self.disorder, [""; 0], "out of order");
        assert_eq!(self.twice, 0, "twice in a queue");
    }

    fn now(&mut self, numbers: Numbers, fate: Fate) {
        for (queue, number) in numbers {
            self.fates.entry(queue).or_default().insert(number, fate);
        }
    }

    /// Messages of one publisher rise, in one queue.
    fn check_order(&mut self, queue: &str, numbers: &[u64]) {
        let mut last: HashMap<u64, u64> = HashMap::new();
        for number in numbers {
            if let Some(before) = last.insert(number >> 24, *number)
                && before > *number
            {
                self.disorder.push(format!("{queue}: {number:x} after {before:x}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = super::super::WORK[0];

    fn on_queue(numbers: &[u64]) -> Numbers {
        numbers.iter().map(|number| (QUEUE, *number)).collect()
    }

    fn ledger_with(promised: &[u64]) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.sent(on_queue(promised));
        ledger.promised(on_queue(promised));
        ledger
    }

    #[test]
    fn a_sound_queue_passes() {
        let mut ledger = ledger_with(&[1, 2]);
        ledger.sent(on_queue(&[3, 4]));
        ledger.acknowledged(on_queue(&[1]));
        ledger.check(QUEUE, &[2, 3]);
        ledger.check(QUEUE, &[2, 3]);
        ledger.assert_nothing_broken();
    }

    #[test]
    fn a_lost_message_is_noticed() {
        let mut ledger = ledger_with(&[1, 2]);
        ledger.check(QUEUE, &[1]);
        assert_eq!(ledger.lost.len(), 1);
    }

    #[test]
    fn a_message_lost_after_it_survived_once_is_noticed() {
        let mut ledger = Ledger::default();
        ledger.sent(on_queue(&[1]));
        ledger.check(QUEUE, &[1]);
        ledger.check(QUEUE, &[]);
        assert_eq!(ledger.lost.len(), 1);
    }

    #[test]
    fn a_settled_message_that_comes_back_is_noticed() {
        let mut ledger = ledger_with(&[1, 2]);
        ledger.settled(on_queue(&[1]));
        ledger.check(QUEUE, &[1, 2]);
        assert_eq!(ledger.resurrected.len(), 1);
    }

    #[test]
    fn order_and_doubles_are_noticed() {
        let mut ledger = ledger_with(&[1, 2]);
        ledger.check(QUEUE, &[2, 1, 2]);
        assert_eq!((ledger.disorder.len(), ledger.twice), (1, 1));
    }

    #[test]
    fn half_a_transaction_is_noticed() {
        for (pair, tokens) in [([vec![5], vec![]], [5]), ([vec![5], vec![5]], [0])] {
            let mut ledger = Ledger::default();
            ledger.check_transactions(&pair, &tokens);
            assert_eq!(ledger.half.len(), 1, "{pair:?} {tokens:?}");
        }
    }

    #[test]
    fn a_lost_transaction_is_noticed() {
        let mut ledger = Ledger::default();
        ledger.committed(vec![4]);
        ledger.check_transactions(&[vec![], vec![]], &[0]);
        assert_eq!(ledger.lost.len(), 1);
    }
}
