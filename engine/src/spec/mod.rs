//! Turns text into a checked pipeline.
//!
//! Text becomes a tree in which every node has its place in the file ([`yaml`]). `--set`
//! ([`overrides`]), variables ([`vars`]), `for` ([`expand`]) and the sweep ([`sweep`],
//! [`expand_variants`]) change the tree. Then steps are read ([`steps`], [`params`]), connected
//! ([`link`]) and checked ([`check`]). No stage stops at its first fault: all diagnostics are
//! collected and shown together.

mod cells;
mod check;
mod columns;
mod companions;
mod context;
mod expand;
mod expand_variants;
mod figure_settings;
mod figures;
mod include;
mod leaks;
mod link;
mod load;
mod missing_inputs;
mod multiverse;
mod node;
mod outline;
mod overrides;
mod paper;
pub mod param_schema;
mod params;
mod points;
mod profile;
pub mod quantity;
mod range;
mod references;
mod report;
mod resources;
pub mod samplers;
mod scalar;
mod search;
mod settings;
mod steps;
mod sweep;
mod template;
mod unused;
mod vars;
mod yaml;
mod yaml_errors;
mod yaml_slip;

pub use columns::metrics;
pub use figures::FIGURE_KEYS;
pub use load::{load, load_kept, load_searched, load_with};
pub use outline::{STEP_KEYS, TOP_KEYS};
pub use overrides::Override;
pub use paper::PAPER_KEYS;
pub use profile::read_profile;
pub use report::{REPORT_KEYS, ROW_KEYS};
pub use resources::RESOURCE_KEYS;
pub use search::Results;
pub use sweep::{MAX_VARIANTS, SWEEP_KEYS};
