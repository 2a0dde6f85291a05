//! The binary from end to end: each test runs it in a folder of its own, as a user would.

mod again;
mod bad_data;
mod bad_usage;
mod cache;
mod damage;
mod devices;
mod full_disk;
mod gather;
mod interrupt;
mod kills;
mod layout;
mod listings;
mod parallel;
mod past;
mod plans;
mod probes;
mod programs;
mod results;
mod rows;
mod sources;
mod study;
mod sweeps;
mod together;
mod tones;
mod voice;
mod watch;
