//! What two threads may do to one consumer at the same time.
