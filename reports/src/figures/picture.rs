//! The form of a figure in a report: a drawing of ours, or the picture of a user's program as it is.

use super::{Points, draw, kind};
use crate::escape;
use cache::{Record, Store, StoreError, picture::Picture, record::Figure};
use std::collections::BTreeMap;

/// A figure as a report shows it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The title.
    pub title: String,
    /// The caption, unless the author gives one.
    pub caption: String,
    /// The element of a page that shows it.
    pub inline: String,
    /// Its points, if the page shows details of a point.
    pub points: Option<Points>,
    /// The extension of the file that a text without a page shows.
    pub plain: &'static str,
    /// Its files, by their extension.
    pub files: BTreeMap<&'static str, Vec<u8>>,
}

/// True if it is a picture that a program drew.
pub fn is_picture(figure: &Figure) -> bool {
    kind(&figure.figure).is_some_and(|kind| kind.draw.is_none())
}

/// Draws a figure or takes the picture of a program. The inner error is the reason why there is none.
///
/// # Errors
/// When an input is missing from the store or damaged.
pub fn show(
    figure: &Figure,
    record: &Record,
    store: &Store,
) -> Result<Result<Shown, String>, StoreError> {
    if is_picture(figure) {
        return picture(figure, record, store);
    }
    Ok(draw::render(figure, record, store)?.map(|drawn| {
        let files =
            [("svg", Some(drawn.svg.into_bytes())), ("png", Some(drawn.png)), ("pdf", drawn.pdf)];
        let files = files.into_iter().filter_map(|(ending, bytes)| Some((ending, bytes?)));
        Shown {
            title: drawn.title,
            caption: drawn.caption,
            inline: drawn.inline,
            points: drawn.points,
            plain: "png",
            files: files.collect(),
        }
    }))
}

/// The picture of a program. As an image a page runs none of its scripts and loads nothing that it names.
fn picture(
    figure: &Figure,
    record: &Record,
    store: &Store,
) -> Result<Result<Shown, String>, StoreError> {
    let inputs = match draw::digests(figure, record) {
        Ok(inputs) => inputs,
        Err(error) => return Ok(Err(error)),
    };
    let Some((_, words, digest)) = inputs.values().flatten().next() else {
        return Ok(Err("nothing was given for `of`".to_owned()));
    };
    let Some(picture) = Picture::of(&store.get(digest)?) else {
        return Ok(Err("its input is no picture".to_owned()));
    };
    let title = figure.title.clone().unwrap_or_else(|| words.name.clone());
    let inline = format!(
        "<img class=\"picture\" alt=\"{}\" src=\"data:{};base64,{}\">",
        escape::html(&title),
        picture.format.media_type(),
        picture.base64()
    );
    Ok(Ok(Shown {
        title,
        caption: format!("Drawn by the program of the step {}.", words.name),
        inline,
        points: None,
        plain: picture.format.ending(),
        files: BTreeMap::from([(picture.format.ending(), picture.bytes)]),
    }))
}
