//! The figures of a report.

use crate::{
    Report,
    document::{Block, InteractivePoints, Picture, Text},
    figures::{self, Points},
    sections::audio_links::AudioLinks,
};
use cache::{Record, Store, StoreError, record::Figure};
use std::collections::BTreeMap;

/// Blocks for the figures, and their files by name.
pub fn blocks(
    record: &Record,
    store: &Store,
    audio_links: &AudioLinks,
) -> Result<(Vec<Block>, Report), StoreError> {
    let (mut blocks, mut files) = (Vec::new(), BTreeMap::new());
    if !record.figures.is_empty() {
        blocks.push(Block::Heading("Figures".to_owned()));
    }
    for (index, figure) in record.figures.iter().enumerate() {
        let name = figures::file_name(index, figure);
        let shown = match figures::show(figure, record, store)? {
            Ok(shown) => shown,
            Err(error) => {
                let title = figure.title.clone();
                let title = title.unwrap_or_else(|| default_title(&figure.figure));
                let text =
                    Text::new().strong(title).plain(format!(" could not be drawn: {error}."));
                blocks.push(Block::Paragraph(text));
                continue;
            }
        };
        for (ending, bytes) in shown.files {
            files.insert(format!("figures/{name}.{ending}"), bytes);
        }
        blocks.push(Block::Figure(Picture {
            name,
            plain: shown.plain,
            title: shown.title,
            caption: caption(record, figure, shown.caption).into(),
            inline: shown.inline,
            points: shown.points.map(|points| interactive(points, audio_links)),
        }));
    }
    Ok((blocks, files))
}

/// The caption, with the variant that is shown if there are several.
fn caption(record: &Record, figure: &Figure, drawn: String) -> String {
    let mut caption = figure.caption.clone().unwrap_or(drawn).trim().to_owned();
    let roles = figures::kind(&figure.figure).map_or(&[][..], |kind| kind.roles);
    let mut of_seed = None;
    for role in roles {
        let Some(first) = figure.inputs.get(role.name).and_then(|ports| ports.first()) else {
            continue;
        };
        let variant = figures::variant(&first.step);
        if !role.takes_many && !variant.is_empty() {
            let variant = variant.join(", ");
            caption.push_str(&format!(" The figure shows the first variant: {variant}."));
        } else if role.one_seed {
            of_seed = of_seed.or(variant.into_iter().find(|part| part.starts_with("seed ")));
        }
    }
    let seeds = record.sweep.as_ref().map_or(1, |sweep| sweep.seeds.len());
    if let Some(seed) = of_seed.filter(|_| seeds > 1) {
        caption.push_str(&format!(" Drawn with {seed}, one of {seeds}; others look different."));
    }
    caption
}

/// `pca_spectrum` as `Pca spectrum`.
fn default_title(name: &str) -> String {
    let mut letters = name.replace('_', " ").chars().collect::<Vec<_>>();
    letters.iter_mut().take(1).for_each(|letter| letter.make_ascii_uppercase());
    letters.into_iter().collect()
}

fn interactive(points: Points, audio_links: &AudioLinks) -> InteractivePoints {
    let paths: Vec<Option<&str>> = points.clips.iter().map(|clip| audio_links.of(clip)).collect();
    let (mut folder, mut audio) = (String::new(), Vec::new());
    if paths.iter().any(Option::is_some) {
        folder = common_folder(paths.iter().flatten()).to_owned();
        audio = paths.iter().map(|path| path.map(|path| path[folder.len()..].to_owned())).collect();
    }
    InteractivePoints {
        clips: points.clips,
        panels: points.panels,
        facts: points.facts,
        folder,
        audio,
    }
}

/// The longest common prefix of all paths that ends in `/`.
fn common_folder<'p>(mut paths: impl Iterator<Item = &'p &'p str>) -> &'p str {
    let Some(first) = paths.next() else { return "" };
    let shared = paths.fold(*first, |shared, path| {
        let same = shared.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count();
        // Addresses are ASCII.
        &shared[..same]
    });
    &shared[..shared.rfind('/').map_or(0, |end| end + 1)]
}
