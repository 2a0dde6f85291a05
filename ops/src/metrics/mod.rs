//! What groups are worth.
