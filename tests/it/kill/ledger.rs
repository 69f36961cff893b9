//! What each message may still do, by what its clients know, held against what is found after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::clients::takes_token;
use super::Numbers;

/// What is known of one message in one queue.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Sent; whether it arrived is open.
    Sent,
    /// Must be there.
    Promised,
    /// Acknowledged; whether that arrived is open.
    Acknowledged,
    /// Must not be there.
    Gone,
}

#[derive(Debug, Default)]
pub struct Ledger {
    fates: HashMap<(&'static str, u64), Fate>,
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
        self.fates.extend(numbers.into_iter().map(|message| (message, Fate::Sent)));
    }

    pub fn promised(&mut self, numbers: Numbers) {
        self.confirmed += numbers.len() as u64;
        for message in numbers {
            self.fates.insert(message, Fate::Promised);
        }
    }

    pub fn acknowledged(&mut self, numbers: Numbers) {
        for message in numbers {
            self.fates.insert(message, Fate::Acknowledged);
        }
    }

    pub fn settled(&mut self, numbers: Numbers) {
        self.settled += numbers.len() as u64;
        for message in numbers {
            self.fates.insert(message, Fate::Gone);
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
        let all = self.fates.iter_mut().filter(|((place, _), _)| *place == queue);
        for ((_, number), fate) in all {
            let here = present.contains(number);
            match (*fate, here) {
                (Fate::Promised, false) => self.lost.push(format!("{queue} {number:x}")),
                (Fate::Gone, true) => self.resurrected.push(format!("{queue} {number:x}")),
                _ => {}
            }
            *fate = if here { Fate::Promised } else { Fate::Gone };
        }
        for number in present {
            assert!(self.fates.contains_key(&(queue, number)), "{queue} holds {number:x}, never sent");
        }
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
            self.half.push(format!("token {tokens:x?}, not {:x}", self.last_token));
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
