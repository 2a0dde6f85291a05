//! Networks: the only room that names dfdx.

pub mod adam;
pub mod conv;
pub mod fit;
pub mod layers;
pub mod machine;
pub mod matmul;
pub mod norm;
pub mod objective;
pub mod patches;
pub mod rows;
pub mod stage;
pub mod study;
pub mod tape;
