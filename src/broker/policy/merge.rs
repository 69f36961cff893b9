//! From arguments and policies to what is in force.
//!
//! First the operator's policy is merged into the user's: of two numbers the lower counts, and the operator's
//! overflow. Then the result meets the arguments: of two numbers the lower counts again; an argument wins for
//! everything about dead letters, for an alternate exchange and for the overflow of a classic queue; the policy
//! wins for the overflow of a quorum queue and for which returns are delayed, and how.

use std::sync::Arc;

use super::definition::PolicyDefinition;
use crate::broker::options::{
    self, DELIVERY_LIMIT_DEFAULT, DeadLetterStrategy, ExchangeOptions, Overflow, QueueOptions,
    QueueType,
};
use crate::broker::retry::{DelayedRetry, RetryTerms};
use crate::broker::settings::QueueSettings;

impl QueueSettings {
    /// What is in force for a queue with these arguments and policies.
    pub fn resolve(
        declared: &QueueOptions,
        policy: Option<&PolicyDefinition>,
        operator: Option<&PolicyDefinition>,
    ) -> QueueSettings {
        let own = QueueSettings::of(declared);
        let both = Both { policy, operator };
        QueueSettings {
            message_ttl_ms: both.lowest(own.message_ttl_ms, |it| it.message_ttl_ms),
            expires_ms: both.lowest(own.expires_ms, |it| it.expires_ms),
            dead_letter_exchange: own
                .dead_letter_exchange
                .or_else(|| policy?.dead_letter_exchange.clone()),
            dead_letter_routing_key: own
                .dead_letter_routing_key
                .or_else(|| policy?.dead_letter_routing_key.clone()),
            dead_letter_strategy: strategy(declared)
                .or_else(|| policy?.dead_letter_strategy)
                .unwrap_or_default(),
            max_length: both.lowest(own.max_length, |it| it.max_length),
            max_length_bytes: both.lowest(own.max_length_bytes, |it| it.max_length_bytes),
            overflow: both.overflow(declared),
            delivery_limit: both.delivery_limit(declared),
            consumer_timeout_ms: both.lowest(own.consumer_timeout_ms, |it| it.consumer_timeout_ms),
            delayed_retry: both.delayed_retry(declared),
        }
    }
}

/// Who gets the messages that an exchange with this declaration and this policy routes nowhere.
pub fn alternate_exchange(
    declared: &ExchangeOptions,
    policy: Option<&PolicyDefinition>,
) -> Option<Arc<str>> {
    let own = declared.alternate_exchange.as_deref().map(Arc::from);
    own.or_else(|| policy?.alternate_exchange.clone())
}

/// A queue's policies.
#[derive(Clone, Copy)]
struct Both<'a> {
    policy: Option<&'a PolicyDefinition>,
    operator: Option<&'a PolicyDefinition>,
}

impl Both<'_> {
    fn lowest(
        self,
        own: Option<u64>,
        setting: impl Fn(&PolicyDefinition) -> Option<u64>,
    ) -> Option<u64> {
        let set = [own, self.policy.and_then(&setting), self.operator.and_then(&setting)];
        set.into_iter().flatten().min()
    }

    fn overflow(self, declared: &QueueOptions) -> Overflow {
        let set = |definition: Option<&PolicyDefinition>| definition?.overflow;
        let policies = set(self.operator).or_else(|| set(self.policy));
        let own = options::text(&declared.arguments, "x-overflow").and_then(Overflow::from_name);
        let winner = match declared.queue_type {
            QueueType::Quorum => policies.or(own),
            QueueType::Classic | QueueType::Stream => own.or(policies),
        };
        winner.unwrap_or_default()
    }

    fn delayed_retry(self, declared: &QueueOptions) -> Option<DelayedRetry> {
        let set = |definition: Option<&PolicyDefinition>| definition.map(|it| it.delayed_retry);
        let policies = [set(self.policy), set(self.operator)].into_iter().flatten();
        policies.fold(declared.delayed_retry, RetryTerms::under).in_force()
    }

    /// Negative is no limit at all, so beside it any other is the lower.
    fn delivery_limit(self, declared: &QueueOptions) -> Option<u64> {
        if declared.queue_type != QueueType::Quorum {
            return None;
        }
        let set = |definition: Option<&PolicyDefinition>| definition?.delivery_limit;
        let own = options::integer(&declared.arguments, "x-delivery-limit");
        let limits = [own, set(self.policy), set(self.operator)];
        let Some(lowest) = limits.into_iter().flatten().reduce(lower_limit) else {
            return Some(DELIVERY_LIMIT_DEFAULT);
        };
        u64::try_from(lowest).ok()
    }
}

fn lower_limit(one: i64, other: i64) -> i64 {
    if one < 0 || other < 0 { one.max(other) } else { one.min(other) }
}

fn strategy(declared: &QueueOptions) -> Option<DeadLetterStrategy> {
    let name = options::text(&declared.arguments, "x-dead-letter-strategy")?;
    DeadLetterStrategy::from_name(name)
}
