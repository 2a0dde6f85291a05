//! From text to a checked pipeline.
//!
//! Text becomes a tree whose every node knows its place ([`yaml`]). `--set` ([`overrides`]),
//! variables ([`vars`]), `for` ([`expand`]) and the sweep ([`sweep`], [`unfold`]) act on the tree. Only then are steps read
//! ([`steps`], [`params`]), joined ([`link`]) and checked ([`check`]). No stage stops at its first
//! fault: all of them are collected and shown together.

mod cells;
mod check;
mod companions;
mod context;
mod expand;
pub mod expect;
mod figures;
mod lacking;
mod link;
mod load;
mod meant;
mod node;
mod outline;
mod overrides;
mod params;
mod points;
mod range;
mod report;
mod resources;
pub mod samplers;
mod scalar;
mod search;
mod settings;
mod steps;
mod sweep;
mod template;
mod unfold;
mod unused;
mod vars;
mod yaml;
mod yaml_fault;
mod yaml_slip;

pub use figures::FIGURE_KEYS;
pub use load::{load, load_searched, load_with};
pub use outline::{STEP_KEYS, TOP_KEYS};
pub use overrides::Override;
pub use report::{METRICS, REPORT_KEYS, ROW_KEYS};
pub use resources::{RESOURCE_KEYS, bytes};
pub use search::Results;
pub use sweep::{MOST as MOST_POINTS, SWEEP_KEYS};
