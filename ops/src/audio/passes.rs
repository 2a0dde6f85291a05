//! Work on the samples of many clips, for which each recording is decoded once.

use super::{
    change::Change,
    decode::{DecodeError, Decoder, Signal},
    excerpt::Excerpt,
    input::Input,
    recordings::{Recordings, named, unreadable},
    reference::AudioRef,
};
use crate::OpError;
use cache::Digest;
use rayon::prelude::*;
use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The samples of excerpts that are held at a time, before they are worked on by all threads.
const AT_ONCE: usize = 1 << 24;
/// The samples above which an excerpt is not held but decoded block by block.
const MAX_HELD: u64 = 1 << 26;

/// Clips that are read together.
enum Unit<T> {
    One(usize, T),
    /// Excerpts of one recording, by their starts.
    Excerpts(Digest, Vec<Part<T>>),
}

/// An excerpt of a recording.
struct Part<T> {
    row: usize,
    excerpt: Excerpt,
    /// The changes of its samples, in order.
    changes: Vec<Change>,
    item: T,
}

/// The work on the clips.
struct Work<'a, L, S, F> {
    ids: &'a [String],
    audio: &'a [String],
    limit: L,
    scratch: S,
    then: F,
    /// The first clip that failed so far; those behind it need not be read.
    failed: AtomicUsize,
}

impl Recordings<'_> {
    /// Passes a decoder of each clip to `then`, with its row, the buffers of the thread and its item
    /// of `items`. At most `limit` frames of a clip, a function of its rate, need be read. Excerpts of
    /// one recording are found in their places, or the recording is decoded once for all of them.
    ///
    /// # Errors
    /// That of the first clip that fails; the message names the clip.
    pub fn each<T: Send, S>(
        &self,
        (ids, audio): (&[String], &[String]),
        items: Vec<T>,
        limit: impl Fn(u32) -> usize + Sync,
        scratch: impl Fn() -> S + Sync,
        then: impl Fn(usize, &mut Decoder<'_>, &mut S, T) -> Result<Result<(), DecodeError>, OpError>
        + Sync,
    ) -> Result<(), OpError> {
        let failed = AtomicUsize::new(usize::MAX);
        let work = Work { ids, audio, limit, scratch, then, failed };
        let faults = units(audio, items).into_par_iter().map_init(
            || (Vec::new(), (work.scratch)()),
            |(bytes, scratch), unit| match unit {
                Unit::One(row, item) => work.row(row, |id, audio| {
                    let mut made = Ok(());
                    self.decode(id, audio, bytes, |decoder| {
                        match (work.then)(row, decoder, scratch, item) {
                            Ok(decoded) => decoded,
                            Err(error) => {
                                made = Err(error);
                                Ok(())
                            }
                        }
                    })?;
                    made
                }),
                Unit::Excerpts(file, rows) => self.excerpts(&work, file, rows, bytes),
            },
        );
        let first = faults.flatten_iter().min_by_key(|(row, _)| *row);
        first.map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Works on excerpts of one recording.
    fn excerpts<T: Send, S, L, M, F>(
        &self,
        work: &Work<'_, L, M, F>,
        file: Digest,
        rows: Vec<Part<T>>,
        bytes: &mut Vec<u8>,
    ) -> Vec<(usize, OpError)>
    where
        L: Fn(u32) -> usize + Sync,
        M: Fn() -> S + Sync,
        F: Fn(usize, &mut Decoder<'_>, &mut S, T) -> Result<Result<(), DecodeError>, OpError>
            + Sync,
    {
        let first = rows.iter().map(|part| part.row).min().expect("at least two excerpts");
        let id = &work.ids[first];
        let path = match self.path_of(id, &file) {
            Ok(path) => path,
            Err(error) => return work.fail(first, error),
        };
        let encoded = self.open_encoded(&path, &file, bytes);
        let made = encoded
            .and_then(|encoded| encoded.with(bytes, |input| work.on_excerpts(self, input, rows)));
        match made {
            Ok(Ok(faults)) => faults,
            Ok(Err(error)) => {
                work.fail(first, named::<()>(id, Err(error)).expect_err("it is a fault"))
            }
            Err(why) => work.fail(first, unreadable(id, &path.display().to_string(), why)),
        }
    }
}

impl<L, M, F> Work<'_, L, M, F> {
    fn fail(&self, row: usize, error: OpError) -> Vec<(usize, OpError)> {
        self.failed.fetch_min(row, Ordering::Relaxed);
        vec![(row, error)]
    }

    /// Does the work of one clip unless one before it has failed.
    fn row(
        &self,
        row: usize,
        work: impl FnOnce(&str, &str) -> Result<(), OpError>,
    ) -> Vec<(usize, OpError)> {
        if row > self.failed.load(Ordering::Relaxed) {
            return Vec::new();
        }
        match work(&self.ids[row], &self.audio[row]) {
            Ok(()) => Vec::new(),
            Err(error) => self.fail(row, error),
        }
    }

    fn on_excerpts<T: Send, S>(
        &self,
        recordings: &Recordings<'_>,
        input: Input<'_>,
        rows: Vec<Part<T>>,
    ) -> Result<Vec<(usize, OpError)>, DecodeError>
    where
        L: Fn(u32) -> usize + Sync,
        M: Fn() -> S + Sync,
        F: Fn(usize, &mut Decoder<'_>, &mut S, T) -> Result<Result<(), DecodeError>, OpError>
            + Sync,
    {
        let pass_on = |id: &str, mut decoder: Decoder<'_>, part: Part<T>, scratch: &mut S| {
            if !part.changes.is_empty() {
                let mut samples = Vec::new();
                named(id, decoder.mono(usize::MAX, &mut samples))?;
                let sample_rate = decoder.sample_rate;
                let mut signal = Signal { sample_rate, channels: 1, samples };
                for change in part.changes {
                    signal = named(id, recordings.planned(change).apply(signal))?;
                }
                decoder = Decoder::of_signal(signal);
            }
            named(id, (self.then)(part.row, &mut decoder, scratch, part.item)?)
        };
        let apart = |rows: Vec<Part<T>>| -> Vec<(usize, OpError)> {
            let one = |scratch: &mut S, part: Part<T>| {
                self.row(part.row, |id, _| {
                    let mut decoder = named(id, Decoder::open(input))?;
                    decoder.cut(part.excerpt);
                    pass_on(id, decoder, part, scratch)
                })
            };
            rows.into_par_iter().map_init(&self.scratch, one).flatten_iter().collect()
        };
        let decoder = Decoder::open(input)?;
        if decoder.is_in_place() {
            return Ok(apart(rows));
        }
        let (sample_rate, channels) = (decoder.sample_rate, usize::from(decoder.channels));
        let limit = (self.limit)(sample_rate) as u64;
        let bounds = |part: &Part<T>| {
            let (from, to) = part.excerpt.frames(sample_rate);
            let limit = if part.changes.is_empty() { limit } else { u64::MAX };
            (from, from.saturating_add(limit).min(to.unwrap_or(u64::MAX)))
        };
        let is_long = |part: &Part<T>| {
            let (from, to) = bounds(part);
            (to - from).saturating_mul(channels as u64) > MAX_HELD
        };
        let (long, short): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_long);
        let mut faults = apart(long);
        let mut pass = Pass { decoder, held: Vec::new(), first: 0, state: Ok(true) };
        let mut rows = short.into_iter().peekable();
        while rows.peek().is_some() {
            let (mut batch, mut size) = (Vec::new(), 0);
            while size < AT_ONCE
                && let Some(part) = rows.next()
            {
                let (from, to) = bounds(&part);
                let samples = pass.part(from, to);
                size += samples.as_ref().map_or(0, Vec::len);
                batch.push((part, samples));
            }
            let one = |scratch: &mut S, (part, samples): (Part<T>, Result<Vec<f32>, _>)| {
                self.row(part.row, |id, _| {
                    let signal = Signal { sample_rate, channels, samples: named(id, samples)? };
                    pass_on(id, Decoder::of_signal(signal), part, scratch)
                })
            };
            let made = batch.into_par_iter().map_init(&self.scratch, one).flatten_iter();
            faults.extend(made.collect::<Vec<_>>());
        }
        Ok(faults)
    }
}

/// The recording, the part of it and the changes of a clip that is an excerpt.
fn excerpt(audio: &AudioRef) -> Option<(Digest, Excerpt, Vec<Change>)> {
    match audio {
        AudioRef::Excerpt { file, excerpt } => Some((*file, *excerpt, Vec::new())),
        AudioRef::Changed { change, of } => {
            let (file, excerpt, mut changes) = self::excerpt(of)?;
            changes.push(*change);
            Some((file, excerpt, changes))
        }
        _ => None,
    }
}

/// Clips with their items, those of several excerpts of one recording together.
fn units<T>(audio: &[String], items: Vec<T>) -> Vec<Unit<T>> {
    let excerpts = audio.iter().map(|audio| excerpt(&audio.parse().ok()?));
    let excerpts: Vec<_> = excerpts.collect();
    let mut counts: HashMap<Digest, usize> = HashMap::new();
    for (file, ..) in excerpts.iter().flatten() {
        *counts.entry(*file).or_default() += 1;
    }
    let mut units = Vec::new();
    let mut places: HashMap<Digest, Vec<Part<T>>> = HashMap::new();
    for (row, (excerpt, item)) in excerpts.into_iter().zip(items).enumerate() {
        match excerpt {
            Some((file, excerpt, changes)) if counts[&file] > 1 => {
                places.entry(file).or_default().push(Part { row, excerpt, changes, item });
            }
            _ => units.push(Unit::One(row, item)),
        }
    }
    // The longest work first, and in an order that is not that of a table of hashes.
    let mut recordings: Vec<_> = places.into_iter().collect();
    recordings.sort_by_key(|(_, rows)| (std::cmp::Reverse(rows.len()), rows[0].row));
    let sorted = recordings.into_iter().map(|(file, mut rows)| {
        rows.sort_by_key(|part| (part.excerpt.frames(1_000_000_000), part.row));
        Unit::Excerpts(file, rows)
    });
    sorted.collect::<Vec<_>>().into_iter().chain(units).collect()
}

/// A recording that is decoded from its start to its end, of which a part is held.
struct Pass<'a> {
    decoder: Decoder<'a>,
    held: Vec<f32>,
    /// The frame with which `held` begins.
    first: u64,
    /// True while there may be more; the error after which there is nothing more.
    state: Result<bool, DecodeError>,
}

impl Pass<'_> {
    /// The samples from one frame to before another, as far as the recording has them. No part
    /// begins before the one that was asked for last.
    fn part(&mut self, from: u64, to: u64) -> Result<Vec<f32>, DecodeError> {
        let channels = usize::from(self.decoder.channels);
        let mut block = Vec::new();
        loop {
            let frames = (self.held.len() / channels) as u64;
            let passed = from.saturating_sub(self.first).min(frames);
            self.held.drain(..passed as usize * channels);
            self.first += passed;
            let has_all = self.first + (frames - passed) >= to;
            if has_all || !self.state.clone()? {
                let count = to.saturating_sub(from).min(frames - passed) as usize * channels;
                return Ok(self.held[..count].to_vec());
            }
            self.state = self.decoder.next(&mut block);
            self.held.extend_from_slice(&block);
        }
    }
}
