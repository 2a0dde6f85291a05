//! The op `audio_folder`: a folder with one folder of recordings for each label.

use super::{
    clips::{self, Candidate, Fault, OUTPUTS, OnError, Rules},
    damage::OnDamage,
    formats::AUDIO,
    reference::AudioRef,
    unsupported,
};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port, Select, Source};
use cache::{Artifact, Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, path::Path};

/// Recordings in a folder of labelled folders.
///
/// The label of a clip is the first folder of its name: `cello/take1/a.wav` is a `cello`. Files
/// whose ending is one of a recording count (`wav`, `flac`, `mp3`, `m4a` and others), whatever the case, at
/// any depth; hidden files do not. What a file holds is told by its content. Every recording is decoded
/// once to see that it is whole. Recordings of other endings, such as opus, are listed in `skipped`; a
/// class that holds nothing else is an error unless `on_error` is `skip`.
///
/// Source: folders named by label as in scikit-learn's `load_files` and torchvision's
/// `ImageFolder`; samples as libsndfile gives them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioFolder {
    /// The folder.
    pub path: String,
    /// The treatment of a recording that cannot be used: `fail` names all of them, `skip` leaves
    /// them out and lists them in `skipped`.
    #[serde(default)]
    pub on_error: OnError,
    /// Allows clips that are all zero.
    #[serde(default)]
    pub allow_silent: bool,
    /// The treatment of a recording of which only a part can be decoded: `fail` counts it among those
    /// that cannot be used, `keep` uses what is whole and says what is not.
    #[serde(default)]
    pub on_damage: OnDamage,
}

impl Op for AudioFolder {
    const NAME: &'static str = "audio_folder";
    const VERSION: u32 = 3;
    const INPUTS: &'static [Port] = &[];
    const OUTPUTS: &'static [Port] = OUTPUTS;

    fn sources(&self) -> Vec<Source> {
        vec![Source {
            param: "path",
            path: self.path.clone().into(),
            select: Select::Tree(unsupported::endings()),
            missing: Some("give `path` a folder that holds one folder a label"),
        }]
    }

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        Ok(clips::shapes())
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let shown = inputs.files().iter().filter(|file| !clips::is_hidden(&file.name));
        let (files, unsupported) = unsupported::partition(shown, AUDIO);
        let label_of = |name: &str| name.split_once('/').map(|(label, _)| label.to_owned());
        if self.on_error == OnError::Fail {
            let labels = files.iter().filter_map(|file| label_of(&file.name)).collect();
            unsupported::check(&unsupported, label_of, &labels)?;
        }
        if files.is_empty() {
            let ends = AUDIO.join(", ");
            return Err(OpError::param(
                "path",
                format!("no recording in `{}`: no file below it ends in {ends}", self.path),
            )
            .help("give `path` a folder that holds one folder of recordings a label"));
        }
        if let [file] = files[..]
            && file.path == Path::new(&self.path)
        {
            return Err(OpError::param("path", format!("`{}` is a file, not a folder", self.path))
                .help("give `path` a folder that holds one folder of recordings a label"));
        }
        let by_name: HashMap<_, _> = files.iter().map(|file| (file.name.as_str(), *file)).collect();
        let candidates = files.iter().map(|file| {
            let (label, _) = file.name.split_once('/').ok_or_else(|| {
                Fault::new(
                    &file.name,
                    "lies in no folder that would name its label",
                    "move each recording into the folder of its label",
                )
            })?;
            Ok(Candidate {
                clip_id: file.name.clone(),
                audio: AudioRef::File(file.digest),
                label: label.to_owned(),
                group: None,
            })
        });
        let rules = Rules {
            on_error: self.on_error,
            allow_silent: self.allow_silent,
            on_damage: self.on_damage,
        };
        let read = |candidate: &Candidate, room: &mut Vec<u8>| {
            clips::open_encoded(by_name[candidate.clip_id.as_str()], room, cx.cancel)
        };
        let mut collection = clips::collect(candidates.collect(), read, rules, cx)?;
        collection.leave_out(unsupported);
        Ok(collection.outputs(Artifact::table(Kind::Clips, collection.table())))
    }
}
