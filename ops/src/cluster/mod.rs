//! From vectors to groups.
