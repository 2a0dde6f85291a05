//! The binary from end to end: each test runs it in a folder of its own, as a user would.

mod again;
mod bad_data;
mod bad_usage;
mod damage;
mod devices;
mod interrupt;
mod layout;
mod listings;
mod results;
mod sources;
mod study;
mod together;
mod tones;
