//! Pictures that a user's program drew: an artifact of one row with the bytes of its file.

use crate::{Artifact, Kind, Table};
use base64::{Engine, engine::general_purpose::STANDARD};

/// The format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// Scalable Vector Graphics.
    Svg,
    /// Portable Network Graphics.
    Png,
}

impl PictureFormat {
    /// The extension of its files.
    pub fn ending(self) -> &'static str {
        match self {
            PictureFormat::Svg => "svg",
            PictureFormat::Png => "png",
        }
    }

    /// The type by which a page names it.
    pub fn media_type(self) -> &'static str {
        match self {
            PictureFormat::Svg => "image/svg+xml",
            PictureFormat::Png => "image/png",
        }
    }
}

/// A picture as its program left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its format.
    pub format: PictureFormat,
    /// The bytes of its file.
    pub bytes: Vec<u8>,
}

impl Picture {
    /// The artifact that holds it. A table has no column of bytes, so they are text in base64.
    pub fn artifact(&self) -> Artifact {
        let table = Table::new()
            .with_text("format", [self.format.ending()])
            .with_text("base64", [self.base64()]);
        Artifact::table(Kind::Picture, table)
    }

    /// The picture in an artifact.
    pub fn of(artifact: &Artifact) -> Option<Self> {
        let table = artifact.as_table().filter(|_| artifact.kind == Kind::Picture)?;
        let format = match table.text("format")?.first()?.as_str() {
            "svg" => PictureFormat::Svg,
            "png" => PictureFormat::Png,
            _ => return None,
        };
        let bytes = STANDARD.decode(table.text("base64")?.first()?).ok()?;
        Some(Self { format, bytes })
    }

    /// Its bytes in base64.
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_comes_back_as_it_was() {
        let picture = Picture { format: PictureFormat::Png, bytes: (0..=255).collect() };
        assert_eq!(Picture::of(&picture.artifact()), Some(picture.clone()));
        let other = Artifact { kind: Kind::Scores, ..picture.artifact() };
        assert_eq!(Picture::of(&other), None);
        let odd = Table::new().with_text("format", ["gif"]).with_text("base64", ["R0lG"]);
        assert_eq!(Picture::of(&Artifact::table(Kind::Picture, odd)), None);
    }
}
