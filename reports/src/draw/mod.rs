//! Drawing: a scene of a few primitives, written as SVG, PNG and PDF.
//!
//! The primitives are few, so a plotting crate would not pay off. The requirements are that colours
//! follow the light or dark style of the page, that equal scenes give equal bytes, and that text is
//! drawn on machines without fonts.

pub mod axis;
pub mod color;
pub mod font;
pub mod pdf;
pub mod png;
pub mod raster;
pub mod scene;
pub mod svg;

pub use axis::{Panel, Scale};
pub use color::{Map, Paint};
pub use scene::{Anchor, Image, Mark, Scene, Shape};
