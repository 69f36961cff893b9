//! Delayed retry: how long a message that came back from a consumer waits until it is ready again.
//!
//! `x-delayed-retry-type`, `-min` and `-max` are RabbitMQ 4.3's, with its formula: the delay grows by the minimum
//! with every return. `-backoff`, `-multiplier` and `-jitter` are ours, and so is all of it on classic queues.
//! Policies have the same keys without `x-`.
//!
//! Pure arithmetic: no clock and no randomness of its own. Durations are milliseconds.

use std::time::Duration;

use amq_protocol::types::{AMQPValue, FieldTable};

use super::options;

/// `x-delayed-retry-type`
pub const TYPE: &str = "x-delayed-retry-type";
/// `x-delayed-retry-min`
pub const MIN: &str = "x-delayed-retry-min";
/// `x-delayed-retry-max`
pub const MAX: &str = "x-delayed-retry-max";
/// `x-delayed-retry-backoff`
pub const BACKOFF: &str = "x-delayed-retry-backoff";
/// `x-delayed-retry-multiplier`
pub const MULTIPLIER: &str = "x-delayed-retry-multiplier";
/// `x-delayed-retry-jitter`
pub const JITTER: &str = "x-delayed-retry-jitter";

/// What `x-delayed-retry-type` may be.
pub const TYPES: &[&str] = &["all", "failed", "returned", "disabled"];
/// What `x-delayed-retry-backoff` may be.
pub const BACKOFFS: &[&str] = &["linear", "fixed", "exponential"];

/// Ten years, as for all that is to expire. Nothing waits longer, jitter apart.
pub const DELAY_MAX_MS: u64 = 315_360_000_000;

const MULTIPLIER_DEFAULT: f64 = 2.0;

/// How a message came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// It was rejected, or its channel or connection was lost.
    Failed,
    /// It was handed back: basic.nack, basic.recover.
    Returned,
}

/// Which returns are followed by a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryType {
    /// None.
    Disabled,
    /// All.
    All,
    /// Those of [`Return::Failed`].
    Failed,
    /// Those of [`Return::Returned`].
    Returned,
}

impl RetryType {
    /// The type that `x-delayed-retry-type` calls `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "disabled" => Some(Self::Disabled),
            "all" => Some(Self::All),
            "failed" => Some(Self::Failed),
            "returned" => Some(Self::Returned),
            _ => None,
        }
    }
}

/// How delays grow from one return to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backoff {
    /// By the minimum: RabbitMQ's.
    #[default]
    Linear,
    /// Not at all.
    Fixed,
    /// By the multiplier.
    Exponential,
}

impl Backoff {
    /// The growth that `x-delayed-retry-backoff` calls `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "linear" => Some(Self::Linear),
            "fixed" => Some(Self::Fixed),
            "exponential" => Some(Self::Exponential),
            _ => None,
        }
    }
}

/// What arguments, or a policy, say about delayed retry.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RetryTerms {
    /// Which returns.
    pub retry_type: Option<RetryType>,
    /// The shortest delay. Never 0.
    pub min_ms: Option<u64>,
    /// The longest delay. Never 0.
    pub max_ms: Option<u64>,
    /// How delays grow.
    pub backoff: Option<Backoff>,
    /// Of an exponential backoff; 1 at the least.
    pub multiplier: Option<f64>,
    /// Up to so much is added to every delay.
    pub jitter_ms: Option<u64>,
}

impl RetryTerms {
    /// What a queue's arguments say. What cannot be counts as absent.
    pub fn of_arguments(arguments: &FieldTable) -> Self {
        Self::read(arguments, |key| key)
    }

    /// What a policy's definition says.
    pub fn of_policy(definition: &FieldTable) -> Self {
        Self::read(definition, |key| key.strip_prefix("x-").unwrap_or(key))
    }

    fn read(table: &FieldTable, named: fn(&'static str) -> &'static str) -> Self {
        let text = |key| options::text(table, named(key));
        let count = |key| u64::try_from(options::integer(table, named(key))?).ok();
        Self {
            retry_type: text(TYPE).and_then(RetryType::from_name),
            min_ms: count(MIN).filter(|&min| min > 0),
            max_ms: count(MAX).filter(|&max| max > 0),
            backoff: text(BACKOFF).and_then(Backoff::from_name),
            multiplier: table.inner().get(named(MULTIPLIER)).and_then(as_multiplier),
            jitter_ms: count(JITTER),
        }
    }

    /// These terms under those of a policy: its words win, and of two numbers the lower counts.
    #[must_use]
    pub fn under(self, policy: Self) -> Self {
        let lower = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        Self {
            retry_type: policy.retry_type.or(self.retry_type),
            min_ms: lower(self.min_ms, policy.min_ms),
            max_ms: lower(self.max_ms, policy.max_ms),
            backoff: policy.backoff.or(self.backoff),
            multiplier: self.multiplier.into_iter().chain(policy.multiplier).reduce(f64::min),
            jitter_ms: lower(self.jitter_ms, policy.jitter_ms),
        }
    }

    /// What they come to. RabbitMQ: nothing without a type and a minimum.
    pub fn in_force(self) -> Option<DelayedRetry> {
        let retry_type = self.retry_type.filter(|&it| it != RetryType::Disabled)?;
        Some(DelayedRetry {
            retry_type,
            min_ms: self.min_ms?,
            max_ms: self.max_ms,
            backoff: self.backoff.unwrap_or_default(),
            multiplier: self.multiplier.unwrap_or(MULTIPLIER_DEFAULT),
            jitter_ms: self.jitter_ms.unwrap_or_default(),
        })
    }
}

/// A number of any type that is at least 1.
pub fn as_multiplier(value: &AMQPValue) -> Option<f64> {
    // Integers above 32 bits are beyond any use; as floating-point numbers they would not be exact.
    let integer = || options::as_integer(value).map(|it| i32::try_from(it).unwrap_or(i32::MAX));
    value
        .as_double()
        .or_else(|| value.as_float().map(f64::from))
        .or_else(|| integer().map(f64::from))
        .filter(|multiplier| *multiplier >= 1.0)
}

/// The delayed retry that is in force for a queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DelayedRetry {
    /// Which returns; never [`RetryType::Disabled`].
    pub retry_type: RetryType,
    /// The shortest delay. Never 0.
    pub min_ms: u64,
    /// The longest delay.
    pub max_ms: Option<u64>,
    /// How delays grow.
    pub backoff: Backoff,
    /// Of an exponential backoff; 1 at the least.
    pub multiplier: f64,
    /// Up to so much is added to every delay.
    pub jitter_ms: u64,
}

impl DelayedRetry {
    /// Whether a message that came back like this waits.
    pub fn delays(&self, how: Return) -> bool {
        match self.retry_type {
            RetryType::Disabled => false,
            RetryType::All => true,
            RetryType::Failed => how == Return::Failed,
            RetryType::Returned => how == Return::Returned,
        }
    }

    /// How long a message waits that came back for the `count`th time. `random` is between 0 and 1.
    ///
    /// RabbitMQ 4.3, linear: `min(min * max(1, count), max)`, and without a maximum always the minimum.
    pub fn delay_ms(&self, count: u32, random: f64) -> u64 {
        let count = count.max(1);
        let delay = match self.backoff {
            Backoff::Fixed => self.min_ms,
            Backoff::Linear => {
                let max = self.max_ms.unwrap_or(self.min_ms);
                self.min_ms.saturating_mul(u64::from(count)).min(max)
            }
            Backoff::Exponential => {
                let exponent = i32::try_from(count - 1).unwrap_or(i32::MAX);
                let delay = scaled(self.min_ms, self.multiplier.powi(exponent));
                delay.min(self.max_ms.unwrap_or(DELAY_MAX_MS))
            }
        };
        delay.min(DELAY_MAX_MS).saturating_add(scaled(self.jitter_ms, random))
    }
}

/// So many times as many milliseconds, rounded, if that is within reason.
fn scaled(ms: u64, factor: f64) -> u64 {
    const HALF_A_MS: Duration = Duration::from_micros(500);
    let seconds = Duration::from_millis(ms.min(DELAY_MAX_MS)).as_secs_f64() * factor;
    let scaled = Duration::try_from_secs_f64(seconds);
    let rounded = scaled.map(|scaled| scaled.saturating_add(HALF_A_MS).as_millis());
    rounded.map_or(DELAY_MAX_MS, |ms| u64::try_from(ms).unwrap_or(u64::MAX)).min(DELAY_MAX_MS)
}

#[cfg(test)]
mod tests;
