//! Drawing: a scene of a few primitives, written as SVG and as PNG.
//!
//! The primitives are so few that a plotting crate would cost more than it gives: what matters here
//! is that colours follow the page's light or dark, that equal scenes give equal bytes, and that
//! text is drawn on machines without fonts.

pub mod axis;
pub mod color;
pub mod font;
pub mod png;
pub mod raster;
pub mod scene;
pub mod svg;

pub use axis::{Panel, Scale};
pub use color::{Map, Paint};
pub use scene::{Anchor, Image, Mark, Scene, Shape};
